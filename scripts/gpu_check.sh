#!/usr/bin/env bash
# Everything that needs a GPU, in stages of at most 8 minutes each; name some to run only those:
#   scripts/gpu_check.sh [build|test|sanitize|kernels|steps|peer|table]...
# Without a network, unpack scripts/offline_bundle.sh's packages first; .bundle/env.sh is used if it is there.
# Settings by environment: BUILD=build-gpu, RESULTS=$BUILD/results (JSON lines), ARCHITECTURES=90a, JOBS=all cores,
# PYTHON=python3 (one that has PyTorch, for the peer), SIZES="small 1b 3b", STEPS=10.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build-gpu}
results=${RESULTS:-$build/results}
architectures=${ARCHITECTURES:-90a}
jobs=${JOBS:-$(nproc)}
python=${PYTHON:-python3}
sizes=${SIZES:-small 1b 3b}
steps=${STEPS:-10}
limit=450  # seconds of one program in a stage
if [ -e .bundle/env.sh ]; then
  # shellcheck disable=SC1091
  . .bundle/env.sh
fi
mkdir -p "$results"

stage_build() {
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DHINOKI_CUDA=native -DHINOKI_MPI=OFF \
    -DHINOKI_CUDA_ARCHITECTURES="$architectures"
  cmake --build "$build" --parallel "$jobs"
  "$build/hinoki" doctor --device cuda || true  # what is wrong with the disk, say, does not matter here
}

# The whole suite on the GPU, in as many processes as can share it.
stage_test() {
  local shards=4 shard pids=() failed=0
  rm -f "$results/coverage"
  for ((shard = 0; shard < shards; ++shard)); do
    HINOKI_REQUIRE_GPU=1 HINOKI_KERNEL_COVERAGE="$results/coverage" GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$shard \
      timeout $limit "$build/hinoki_tests" --gtest_brief=1 >"$results/test-$shard.txt" 2>&1 &
    pids+=($!)
  done
  for ((shard = 0; shard < shards; ++shard)); do
    wait "${pids[$shard]}" || failed=1
    tail -n 40 "$results/test-$shard.txt"
  done
  scripts/kernel_coverage.sh "$results/coverage"
  return $failed
}

# The sanitizer slows a kernel down tens of times, so the smallest cases: the kernels' own tests, without the ops and models.
stage_sanitize() {
  command -v compute-sanitizer >/dev/null || {
    echo "gpu_check: no compute-sanitizer on the PATH; it comes with the CUDA toolkit" >&2
    return 1
  }
  local tool smallest='Simt*:BenchKernels.RunsEveryKernel*:*ColumnSum*:*SoftmaxLoss*:*LayerNorm*:*Embedding*:*Sampling*'
  for tool in memcheck racecheck; do
    HINOKI_REQUIRE_GPU=1 timeout $((limit / 2)) compute-sanitizer --tool $tool --error-exitcode 9 --kernel-regex \
      kns=hinoki "$build/hinoki_tests" --gtest_brief=1 --gtest_filter="$smallest"
  done
}

stage_kernels() {
  timeout $limit "$build/hinoki" bench kernels --device cuda --json | tee "$results/kernels.jsonl"
}

# name of the size -> options, the same for both programs: one GPU, sequences of 2048
options() {
  case $1 in
    small) echo "--size small --sequence 2048 --batch 32" ;;
    *) echo "--size $1 --sequence 2048 --batch 8" ;;
  esac
}

# Takes the lines of a size out of a file of results, before it is measured anew.
forget() {
  touch "$results/$1"
  sed -i "/\"size\": *\"$2\"/d" "$results/$1"
}

# The seconds that a stage which began at $1 has left; at least one, for to timeout 0 is no limit.
left() {
  local rest=$((limit - SECONDS + $1))
  echo $((rest > 1 ? rest : 1))
}

stage_steps() {
  local size began=$SECONDS
  for size in $sizes; do
    forget steps.jsonl "$size"
    # shellcheck disable=SC2046  # a list of words
    timeout "$(left "$began")" "$build/hinoki" bench step $(options "$size") --device cuda --dtype bf16 --steps "$steps" --json |
      tee -a "$results/steps.jsonl"
  done
}

# PyTorch, eager and compiled. A size that does not fit there leaves no line.
stage_peer() {
  local size mode began=$SECONDS
  for size in $sizes; do
    forget peer.jsonl "$size"
    for mode in "" --compile; do
      if [ "$(left "$began")" -le 1 ]; then
        echo "gpu_check: no time is left for PyTorch $mode on $size: SIZES=$size scripts/gpu_check.sh peer" >&2
        continue
      fi
      # shellcheck disable=SC2046,SC2086
      timeout "$(left "$began")" "$python" scripts/bench/peer_torch.py $(options "$size") --device cuda --dtype bf16 \
        --steps "$steps" --max-seconds 60 $mode | tee -a "$results/peer.jsonl" ||
        echo "gpu_check: PyTorch $mode failed on $size" >&2
    done
  done
}

stage_table() { python3 scripts/bench/gpu_table.py "$results"; }

stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(build test sanitize kernels steps peer table)
failed=()
for stage in "${stages[@]}"; do
  case $stage in
    build | test | sanitize | kernels | steps | peer | table) ;;
    *) echo "usage: scripts/gpu_check.sh [build|test|sanitize|kernels|steps|peer|table]..." >&2; exit 2 ;;
  esac
  started=$SECONDS
  printf '\n=== %s\n' "$stage"
  # Not `if "$stage"`: bash would go on after a command of it that fails.
  set +e
  (set -e; "stage_$stage")
  code=$?
  set -e
  printf '=== %s %s in %ds\n' "$stage" "$([ $code = 0 ] && echo passed || echo "failed ($code)")" $((SECONDS - started))
  if [ $code != 0 ]; then failed+=("$stage"); fi
  if [ "$stage" = build ] && [ $code != 0 ]; then break; fi
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "gpu_check: failed: ${failed[*]}" >&2
  exit 1
fi
