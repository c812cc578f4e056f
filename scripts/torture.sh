#!/usr/bin/env bash
# Torments snapshots for longer than the tests do, and says a line for each kind of torment:
#   scripts/torture.sh [KILLS [FLIPS [SEEDS]]]     500 kills, 10,000 flipped bits, 50 losses by seed at every call
# Ends with 1 if anything was lost, and with what the tests say of it.
set -euo pipefail
cd "$(dirname "$0")/.."
export HINOKI_TORTURE_KILLS=${1:-500} HINOKI_TORTURE_FLIPS=${2:-10000} HINOKI_TORTURE_SEEDS=${3:-50}

program=build/hinoki_tests
[ -x "$program" ] || { echo "there is no $program; make it with: cmake --preset release && cmake --build --preset release"; exit 1; }
said=$(mktemp)
trap 'rm -f "$said"' EXIT
started=$SECONDS
if ! "$program" --gtest_brief=1 >"$said" 2>&1 --gtest_filter="Killed.*:BitFlip.*:PowerCut.*:*PowerCutOfARun.*:\
SnapshotWriterTest.AnErrorOfAnyCall*:RunTest.StoppedAtAnyStepAndResumedIsTheSameRun"; then
  cat "$said"
  exit 1
fi
grep -E '^(kills|bit flips|power cuts|failing calls|resumes)[:,]' "$said"
echo "all of it in $((SECONDS - started)) s"
