#!/bin/sh
# Runs every fuzz target for a while (default 20 seconds each) under the address and undefined-behaviour sanitizers.
# What a target has found stays in build-fuzz/corpus/<target>; an input that breaks it is build-fuzz/<target>-crash-*.
set -eu
seconds=${1:-20}
cd "$(dirname "$0")/.."
cmake -S . -B build-fuzz -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang \
  -DHINOKI_FUZZ=ON -DHINOKI_BUILD_TESTS=OFF >/dev/null
ninja -C build-fuzz fuzzers
cd build-fuzz
tests/fuzz/fuzz_seeds seeds
# Two at a time. An input that takes 10 s or 1 GiB is a fault as a crash is.
# shellcheck disable=SC2016
printf '%s\n' tests/fuzz/*_fuzz | xargs -P 2 -n 1 sh -c '
  name=$(basename "$2" _fuzz)
  mkdir -p "corpus/$name" "seeds/$name"
  "$2" -max_total_time="$1" -max_len=16384 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$name-" -verbosity=0 "corpus/$name" "seeds/$name" 2>"$name.log" ||
    { grep -v NEW_FUNC "$name.log"; exit 1; }
  echo "$name, $1 s: $(grep -E "number_of_executed_units|peak_rss" "$name.log" | tr -s " \n" " ")"' fuzz "$seconds"
