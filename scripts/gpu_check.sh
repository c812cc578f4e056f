#!/usr/bin/env bash
# Everything that needs a GPU, in stages of at most 8 minutes each; name some to run only those:
#   scripts/gpu_check.sh [build|test|sanitize|kernels|steps|peer|table]...
# Three of them have parts, each a stage of its own with its own 8 minutes, which may be named as well:
#   sanitize: memcheck racecheck    steps: steps:SIZE...    peer: peer:attention peer:SIZE...
# A part that fails leaves the others to run. Without a network, bring what scripts/offline_bundle.sh collects: it is unpacked
# at the first call.
# Settings by environment: BUILD=build-gpu, RESULTS=$BUILD/results (JSON lines), ARCHITECTURES=90a, JOBS=all cores,
# PYTHON=python3 (one that has PyTorch, for the peer), SIZES="neox-small 1b 3b" (without it: those that the GPU's memory holds;
# bench step lists all), STEPS=10, BUNDLE=.bundle.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build-gpu}
results=${RESULTS:-$build/results}
architectures=${ARCHITECTURES:-90a}
jobs=${JOBS:-$(nproc)}
python=${PYTHON:-python3}
steps=${STEPS:-10}
bundle=${BUNDLE:-.bundle}
limit=450                         # seconds of a stage
PATH=$PATH:/usr/local/cuda/bin    # nvcc and compute-sanitizer often lie there and on no PATH

say() { echo "gpu_check: $*" >&2; }

# Some tests run by root start programs as nobody.
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

# The libraries of the bundle, unpacked at the first call, where those tests can read them.
use_bundle() {
  local place=$bundle
  if [ "$(id -u)" = 0 ] && [ -e "$bundle/packages/SHA256SUMS" ] && ! as_nobody test -r "$bundle/packages/SHA256SUMS"; then
    place=/tmp/hinoki-bundle-$(pwd | cksum | cut -d' ' -f1)
    if [ ! -e "$place/env.sh" ]; then say "a folder above $bundle is closed to other users: unpacking it in $place"; fi
    mkdir -p "$place"
    [ -O "$place" ] || { say "$place belongs to another user"; exit 1; }
  fi
  if [ ! -e "$place/env.sh" ]; then
    [ -e "$bundle/packages/SHA256SUMS" ] || return 0
    scripts/offline_bundle.sh unpack "$bundle" "$place"
  fi
  # shellcheck disable=SC1091
  . "$place/env.sh"
}

gpu_mebibytes() { nvidia-smi --query-gpu=memory.total --format=csv,noheader,nounits 2>/dev/null | sed -n 1p | tr -dc 0-9; }

# The sizes to measure: what SIZES says, or those of GPT that the GPU's memory holds with the batches of options(). They take
# 15, 37 and 92 GiB by `hinoki plan`, and some for cuBLASLt and what the allocator keeps.
sizes() {
  if [ -n "${SIZES:-}" ]; then
    echo "$SIZES"
    return
  fi
  local there size needed
  there=$(gpu_mebibytes) || there=
  for needed in neox-small:20000 1b:44000 3b:100000; do
    size=${needed%:*} needed=${needed#*:}
    if [ -z "$there" ] || [ "$there" -ge "$needed" ]; then
      echo "$size"
    else
      say "$size is left out: it takes $needed MiB, and the GPU has $there; SIZES=$size measures it all the same"
    fi
  done
}

stage_build() {
  command -v cmake >/dev/null || { say "no cmake: scripts/setup.sh, or without a network scripts/offline_bundle.sh"; return 1; }
  # A warning of a compiler that CI does not have is no reason to stop.
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DHINOKI_CUDA=native -DHINOKI_MPI=OFF -DHINOKI_WERROR=OFF \
    -DHINOKI_CUDA_ARCHITECTURES="$architectures" -DHINOKI_CUDA_PYTHON="$python"
  cmake --build "$build" --parallel "$jobs"
  "$build/hinoki" doctor --device cuda || true  # what is wrong with the disk, say, does not matter here
}

# The tests that cannot succeed on this machine, joined by colons, and on stderr why.
left_out() {
  local tests="" folder
  if grep -q '^OPENBLAS:.*NOTFOUND' "$build/CMakeCache.txt" && ! PATH=$PATH:/sbin ldconfig -p | grep 'libopenblas\.so\.0 ' >/dev/null; then
    tests+=:Gemm.OpenBlasGivesTheSameUpToRounding
    say "left out, for OpenBLAS is not installed (CI has it): ${tests##*:}"
  fi
  if [ "$(id -u)" = 0 ]; then
    folder=$(mktemp -d)
    if mount -t tmpfs -o size=1m tmpfs "$folder" 2>/dev/null; then
      umount "$folder"
    else
      tests+=:FullDisk.AFileSystemThatIsFullLosesNothing
      say "left out, for root may not mount here (a container without CAP_SYS_ADMIN): ${tests##*:}"
    fi
    rmdir "$folder"
  fi
  echo "${tests#:}"
}

# Root's tests of locked folders run hinoki as nobody, whose loader must get at its libraries.
check_libraries() {
  [ "$(id -u)" = 0 ] || return 0
  local library
  for library in $(ldd "$build/hinoki" 2>/dev/null | awk '$3 ~ "^/" { print $3 }'); do
    if ! as_nobody test -r "$library"; then
      say "$library lies in a folder that is closed to other users, and tests start hinoki as one: DataFaults.LockedDoors," \
        "ReadOnlyFolder.* and ProfileCommand.WhatCannotBeWrittenIsAWarning will fail. Open the folders above it" \
        "(chmod o+x), or bring the bundle to an open folder (BUNDLE=/tmp/bundle) and build anew without $build"
      return 0
    fi
  done
}

# The cores that this process may use, one a line.
cores() {
  local range
  for range in $(taskset -cp $$ | sed 's/.*: *//; s/,/ /g'); do seq "${range%-*}" "${range#*-}"; done
}

# The whole suite on the GPU, in as many processes as can share it, each on its own cores: as many threads as those.
stage_test() {
  local shards=4 shard pids=() failed=0 out here=() mine began=$SECONDS
  out=$(left_out)
  check_libraries
  mapfile -t here < <(cores)
  rm -f "$results/coverage"
  for ((shard = 0; shard < shards; ++shard)); do
    mine=$(IFS=,; echo "${here[*]:$((shard * ${#here[@]} / shards)):$((${#here[@]} / shards))}")
    [ -n "$mine" ] || mine=$(IFS=,; echo "${here[*]}")
    HINOKI_REQUIRE_GPU=1 HINOKI_KERNEL_COVERAGE="$results/coverage" GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$shard \
      timeout -k 10 "$(left "$began")" taskset -c "$mine" "$build/hinoki_tests" --gtest_brief=1 --gtest_filter="-$out" \
      >"$results/test-$shard.txt" 2>&1 &
    pids+=($!)
  done
  for ((shard = 0; shard < shards; ++shard)); do
    wait "${pids[$shard]}" || failed=1
    tail -n 40 "$results/test-$shard.txt"
  done
  scripts/kernel_coverage.sh "$results/coverage" || failed=1
  return $failed
}

# The sanitizers slow a kernel down tens of times, so the smallest cases, which run each kernel all the same.
sanitize() {
  command -v compute-sanitizer >/dev/null || {
    say "no compute-sanitizer on the PATH or in /usr/local/cuda/bin; it comes with the CUDA toolkit"
    return 1
  }
  local cases
  cases=$(grep -v '^#' scripts/smallest_cases.txt | paste -sd:)
  rm -f "$results/$1-coverage"
  HINOKI_REQUIRE_GPU=1 HINOKI_KERNEL_COVERAGE="$results/$1-coverage" timeout -k 10 $limit compute-sanitizer --tool "$1" \
    --error-exitcode 9 --kernel-regex kns=hinoki "$build/hinoki_tests" --gtest_brief=1 --gtest_filter="$cases"
  scripts/kernel_coverage.sh "$results/$1-coverage"
}
stage_memcheck() { sanitize memcheck; }
stage_racecheck() { sanitize racecheck; }

stage_kernels() {
  timeout -k 10 $limit "$build/hinoki" bench kernels --device cuda --json | tee "$results/kernels.jsonl"
}

# name of the size -> options, the same for both programs: one GPU, sequences of 2048
options() {
  case $1 in
    *small) echo "--size $1 --sequence 2048 --batch 32" ;;
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
  forget steps.jsonl "$1"
  # shellcheck disable=SC2046  # a list of words
  timeout -k 10 $limit "$build/hinoki" bench step $(options "$1") --device cuda --dtype bf16 --steps "$steps" --json |
    tee -a "$results/steps.jsonl"
}

needs_torch() {
  "$python" -c 'import torch' || { say "$python has no PyTorch to measure beside; PYTHON names another one"; return 1; }
}

# PyTorch's attention.
stage_peer_attention() {
  needs_torch
  timeout -k 10 $limit "$python" scripts/bench/peer_attention.py | tee "$results/attention.jsonl"
}

# PyTorch's steps of a size, eager for at most a third of the time, then compiled. What does not fit there leaves no line.
stage_peer() {
  local mode began=$SECONDS time lines=0
  needs_torch
  forget peer.jsonl "$1"
  for mode in "" --compile; do
    time=$(left "$began")
    if [ -z "$mode" ]; then time=$((limit / 3)); fi
    # shellcheck disable=SC2046,SC2086
    if timeout -k 10 "$time" "$python" scripts/bench/peer_torch.py $(options "$1") --device cuda --dtype bf16 \
      --steps "$steps" --max-seconds 60 $mode | tee -a "$results/peer.jsonl"; then
      lines=$((lines + 1))
    else
      say "PyTorch $mode failed on $1, or had not ended after $time s"
    fi
  done
  [ $lines -gt 0 ]
}

stage_table() { python3 scripts/bench/gpu_table.py "$results"; }

usage() {
  echo "usage: scripts/gpu_check.sh [build|test|sanitize|kernels|steps|peer|table]..., or parts: memcheck, racecheck," \
    "steps:SIZE, peer:attention, peer:SIZE" >&2
  exit 2
}

wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=(build test sanitize kernels steps peer table)
measured=
stages=()
for stage in "${wanted[@]}"; do
  case $stage in
    steps | peer) [ -n "$measured" ] || measured=$(sizes) ;;&
    sanitize) stages+=(memcheck racecheck) ;;
    peer) stages+=(peer:attention) ;;&
    steps | peer) for size in $measured; do stages+=("$stage:$size"); done ;;
    build | test | memcheck | racecheck | kernels | steps:?* | peer:?* | table) stages+=("$stage") ;;
    *) usage ;;
  esac
done
use_bundle
mkdir -p "$results"
failed=()
for stage in "${stages[@]}"; do
  case $stage in
    peer:attention) run=(stage_peer_attention) ;;
    *:*) run=("stage_${stage%%:*}" "${stage#*:}") ;;
    *) run=("stage_$stage") ;;
  esac
  started=$SECONDS
  printf '\n=== %s\n' "$stage"
  # Not `if "${run[@]}"`: bash would go on after a command of it that fails.
  set +e
  (set -e; "${run[@]}")
  code=$?
  set -e
  printf '=== %s %s in %ds\n' "$stage" "$([ $code = 0 ] && echo passed || echo "failed ($code)")" $((SECONDS - started))
  if [ $code != 0 ]; then failed+=("$stage"); fi
  if [ "$stage" = build ] && [ $code != 0 ]; then break; fi
done
if [ ${#failed[@]} -gt 0 ]; then
  say "failed: ${failed[*]}"
  exit 1
fi
