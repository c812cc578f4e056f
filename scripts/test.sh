#!/usr/bin/env bash
# Passes the tests, from a bare Debian 12 machine. Stages run in order; name some to run only those:
#   scripts/test.sh [setup|rules|build|sanitize|emulated|cuda|learn|chat|speech|multi_node|interop|fuzz|unit]...
set -euo pipefail
cd "$(dirname "$0")/.."
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1

setup() { bash scripts/setup.sh --test; }

rules() {
  /usr/bin/python3 scripts/house_rules.py --self-test
  /usr/bin/python3 scripts/house_rules.py
  /usr/bin/python3 scripts/bench/gpu_table.py --self-test
}

# A folder that is not there yet is built in the way that is sooner done from nothing; one that is stays as it is.
configure() {
  local folder=$1 preset=$2 together=()
  [ -e "$folder/CMakeCache.txt" ] || together=(-DHINOKI_UNITY=ON)
  cmake --preset "$preset" "${together[@]}"
}

build() {
  configure build release
  cmake --build --preset release --target hinoki
}

# For whoever works on the CPU's side: `emulated` runs all of these, with a GPU beside it.
unit() {
  configure build release
  cmake --build --preset release
  ctest --test-dir build --no-tests=error --output-on-failure --timeout 600 --parallel 2
}

# The same tests under the address and undefined-behaviour sanitizers.
sanitize() {
  cmake --preset debug
  cmake --build --preset debug
  # In two processes, and not one a test: starting the sanitizers takes longer than most tests. The same is why a run is
  # killed fewer times here; `emulated` kills it 50 times.
  local shard status=0 running=()
  for shard in 0 1; do
    HINOKI_TORTURE_KILLS=12 GTEST_TOTAL_SHARDS=2 GTEST_SHARD_INDEX=$shard build-debug/hinoki_tests --gtest_brief=1 \
      --gtest_output="json:build-debug/shard-$shard.json" &> "build-debug/shard-$shard.log" &
    running+=($!)
  done
  for shard in 0 1; do
    wait "${running[$shard]}" || status=1
    cat "build-debug/shard-$shard.log"
  done
  return $status
}

# The same tests with an emulated GPU, which checks every access of every CUDA kernel; each kernel must have been run.
emulated() {
  configure build-emulated emulated
  cmake --build --preset emulated
  rm -f build-emulated/coverage
  HINOKI_REQUIRE_GPU=1 HINOKI_KERNEL_COVERAGE="$PWD/build-emulated/coverage" \
    ctest --test-dir build-emulated --no-tests=error --output-on-failure --timeout 600 --parallel 2
  bash scripts/kernel_coverage.sh build-emulated/coverage
  # What compute-sanitizer is given on a GPU (scripts/gpu_check.sh) leaves no kernel out.
  rm -f build-emulated/smallest
  HINOKI_REQUIRE_GPU=1 HINOKI_KERNEL_COVERAGE="$PWD/build-emulated/smallest" build-emulated/hinoki_tests --gtest_brief=1 \
    --gtest_filter="$(grep -v '^#' scripts/smallest_cases.txt | paste -sd:)"
  bash scripts/kernel_coverage.sh build-emulated/smallest
}

# The CUDA build for one kind of GPU, which needs the compiler but no GPU: it starts here, and says that there is none. No
# hot kernel spills registers.
cuda() {
  if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
    echo "no nvcc on this machine: the CUDA build is left out"
    return
  fi
  cmake --preset cuda -DHINOKI_CUDA_ARCHITECTURES=90a
  cmake --build --preset cuda
  build-cuda/hinoki_tests --gtest_brief=1 --gtest_filter='Backend.*:Coverage.*'
  /usr/bin/python3 scripts/registers.py --architectures 90a
}

# The whole way on real text, with a bar that an untrained model misses.
learn() { bash tests/end_to_end/learn.sh; }

# The model of `learn` learns to answer, and then which answers are preferred.
chat() {
  bash tests/end_to_end/chat.sh
  bash tests/end_to_end/prefer.sh
}

# A Japanese speech corpus from Debian's packages, its shards, a HuBERT that learns from them, with a bar, and a recogniser
# that learns to spell what is said, with another.
speech() {
  bash tests/end_to_end/speech.sh
  bash tests/end_to_end/recognise.sh
}

# Two hosts that lose each other, through the launch scripts.
multi_node() { bash tests/multi_node/run.sh; }

# transformers, tokenizers, TensorBoard, HDF5 and sentencepiece on what we wrote, and ours on what they wrote.
interop() { bash tests/interop/run.sh; }

fuzz() { bash scripts/fuzz.sh 10; }

stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(setup rules build sanitize emulated cuda learn chat speech multi_node interop fuzz)
for stage in "${stages[@]}"; do
  started=$SECONDS
  printf '\n=== %s\n' "$stage"
  "$stage"
  printf '=== %s passed in %ds\n' "$stage" $((SECONDS - started))
done
printf '\n%d passed, 0 failed\n' "${#stages[@]}"
