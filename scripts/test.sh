#!/usr/bin/env bash
# Passes the tests, from a bare Debian 12 machine. Stages run in order; name some to run only those:
#   scripts/test.sh [setup|rules|build|unit|sanitize|learn|interop|fuzz]...
set -euo pipefail
cd "$(dirname "$0")/.."
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1

setup() { bash scripts/setup.sh --test; }

rules() {
  /usr/bin/python3 scripts/house_rules.py --self-test
  /usr/bin/python3 scripts/house_rules.py
}

build() {
  cmake --preset release
  cmake --build --preset release
}

unit() { ctest --test-dir build --output-on-failure --timeout 600 --parallel 2; }

# The same tests under the address and undefined-behaviour sanitizers.
sanitize() {
  cmake --preset debug
  cmake --build --preset debug
  build-debug/hinoki_tests --gtest_brief=1  # in one process: starting the sanitizers takes longer than most tests
}

# The whole way on real text, with a bar that an untrained model misses.
learn() { bash tests/end_to_end/learn.sh; }

# transformers, tokenizers, TensorBoard, HDF5 and sentencepiece on what we wrote, and ours on what they wrote.
interop() { bash tests/interop/run.sh; }

fuzz() { bash scripts/fuzz.sh 10; }

stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(setup rules build unit sanitize learn interop fuzz)
for stage in "${stages[@]}"; do
  started=$SECONDS
  printf '\n=== %s\n' "$stage"
  "$stage"
  printf '=== %s passed in %ds\n' "$stage" $((SECONDS - started))
done
printf '\n%d passed, 0 failed\n' "${#stages[@]}"
