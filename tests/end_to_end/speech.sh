#!/usr/bin/env bash
# Real Japanese speech from nothing: packages -> corpus -> shards -> codebook -> labels -> HuBERT. Needs the network for Debian's
# packages, and a build.
#   tests/end_to_end/speech.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-build/speech}
mkdir -p "$work"

fail() {
  echo "speech: $*" >&2
  exit 1
}

# A number of manifest.json or prepare.json: number FILE KEY...
number() {
  /usr/bin/python3 -c '
import functools, json, sys
print(functools.reduce(lambda value, key: value[key], sys.argv[2:], json.load(open(sys.argv[1], encoding="utf-8"))))' "$@"
}

scripts/corpus/speech.sh ci "$work/corpus"
seconds=$(number "$work/corpus/manifest.json" seconds train)
unseen=$(number "$work/corpus/manifest.json" seconds unseen)
/usr/bin/python3 -c "import sys; sys.exit(not (680 < $seconds + $unseen < 760 and $unseen > 5))" ||
  fail "$seconds s and $unseen s are no 12 minutes of speech"

# What a stopped run has left is used again, and what it lacks comes back with the same bytes.
sum() { (cd "$work/corpus" && find wav phones -type f ! -name '*.trace' | LC_ALL=C sort | xargs sha256sum; cat ./*.tsv); }
sum >"$work/before"
find "$work/corpus/wav" -type f | LC_ALL=C sort | sed -n 1,40p | xargs rm
scripts/corpus/speech.sh ci "$work/corpus"
sum >"$work/after"
cmp "$work/before" "$work/after" || fail "the corpus made again has other bytes"

build/hinoki data speech --overwrite --input "$work/corpus/train.tsv" --output "$work/shards" --validation-fraction 0.1
build/hinoki data speech --overwrite --input "$work/corpus/unseen.tsv" --output "$work/unseen" --validation-fraction 0
report=$work/shards/prepare.json
named=$(number "$report" utterances_named)
for fault in manifest text missing empty foreign unsupported truncated damaged not_finite overdriven silent; do
  [ "$(number "$report" left_out $fault)" = 0 ] || fail "$fault utterances in what the script has made"
done
kept=$(($(number "$report" train utterances) + $(number "$report" validation utterances)))
[ "$kept" = "$named" ] || fail "$kept of $named utterances were kept"
[ "$(number "$report" resampled)" = "$named" ] || fail "the voice speaks at 48 kHz"
for what in transcribed kana; do
  with=$(($(number "$report" train $what) + $(number "$report" validation $what)))
  [ "$with" = "$named" ] || fail "$with of $named utterances have a transcript ($what)"
done

# A codebook of real speech: the same file from one rank and from two.
clusters() {  # FILE [LAUNCHER...]
  local file=$1
  shift
  "$@" build/hinoki data clusters "$work/shards" --out "$work/$file" --overwrite --clusters 100 --batches 200 --slots 2
}
clusters one.h5 | tee "$work/said"
clusters two.h5 scripts/launch/mpirun.sh -n 2 --
cmp "$work/one.h5" "$work/two.h5" || fail "two ranks make another codebook than one"
grep -q "; 0 clusters are empty" "$work/said" || fail "clusters without a frame"

# Both iterations of a tiny HuBERT by one command, which is killed in the middle of the first one's training, asked to stop in
# the second, and finishes what is left.
chain=(build/hinoki train configs/hubert_tiny_chain.toml run="$work/chain" corpus="$work/shards"
  'stages=[{config="hubert_tiny_1.toml", clusters=50, overrides=["train.steps=500", "log.snapshot_every=100"]},
           {config="hubert_tiny_2.toml", clusters=50, layer=3, batches=200, overrides=["train.steps=60", "log.snapshot_every=20"]}]')
rm -rf "$work/chain"
# Starts the chain and waits until PATH is there.
until_there() {
  "${chain[@]}" &
  trainer=$!
  while [ ! -e "$1" ]; do
    kill -0 $trainer 2>/dev/null || fail "the chain ended before it made $1"
    sleep 0.2
  done
}
ended() {
  code=0
  wait $trainer || code=$?
}
until_there "$work/chain/1/train/snapshots/step-00000100"
kill -KILL $trainer
ended
until_there "$work/chain/2/train/snapshots/step-00000020"
kill -TERM $trainer
ended
[ $code = 75 ] || fail "stopped by SIGTERM, the chain ended with $code and not with 75"
"${chain[@]}" 2>&1 | tee "$work/said"
grep -q "stage 1 of 2: is trained" "$work/said" || fail "the chain does not know that its first stage is done"
grep -q "stage 2 of 2: has its codebook" "$work/said" || fail "the chain does not know its second codebook"
"${chain[@]}" 2>&1 | grep "stage 2 of 2: is trained" >"$work/said" || fail "the chain does not know that it is done"

# The bar: guesses of frames it cannot see are right a quarter more often than always saying the commonest cluster, which is
# what a model that has not learned from the sound at best amounts to.
/usr/bin/python3 - "$work/chain/1/train/metrics.jsonl" <<'CHECK' || fail "HuBERT has not learned"
import json, sys
found = {}
for line in open(sys.argv[1], encoding="utf-8"):
    found.update(json.loads(line))
right, common = found["validation/masked_accuracy"], found["validation/commonest_share"]
print(f"speech: {100 * right:.1f} % of masked frames are right, the commonest cluster is {100 * common:.1f} %; the bar is 1.25 times that")
sys.exit(not right > 1.25 * common)
CHECK
echo "speech: passed"
