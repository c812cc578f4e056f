#!/usr/bin/env bash
# A recogniser of real Japanese speech: trains the tiny HuBERT on the corpus that tests/end_to_end/speech.sh leaves, up to a
# bar that an untrained one misses. Of 3 minutes that are labelled it must learn more after pretraining on all 12 than from
# random weights, in as many steps. Then it writes down what it has not heard before. Needs a build.
#   tests/end_to_end/recognise.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-build/speech}
bar=0.9  # nothing at all is 1
rm -rf "$work/untrained" "$work/scratch" "$work/recogniser" "$work/texts"

fail() {
  echo "recognise: $*" >&2
  exit 1
}

# The last character error rate that a run has measured: cer RUN
cer() {
  /usr/bin/python3 -c '
import json, sys
rates = [r["validation/cer"] for r in map(json.loads, open(sys.argv[1] + "/metrics.jsonl")) if "validation/cer" in r]
print(rates[-1])' "$1"
}
below() { /usr/bin/python3 -c "import sys; sys.exit(not $1 < $2)"; }

train() {  # RUN OVERRIDE...
  local run=$1
  shift
  build/hinoki train configs/hubert_ctc_tiny.toml "run=$run" "data.corpus=$work/shards" "$@"
}
train "$work/untrained" train.steps=1  # at the rate with which warming up begins
before=$(cer "$work/untrained")
below $bar "$before" || fail "an untrained model has a CER of $before: the bar is no bar"
train "$work/scratch" train.steps=300 data.hours=0.05
scratch=$(cer "$work/scratch")
pretrained=$(find "$work/chain/1/train/snapshots" -mindepth 1 -maxdepth 1 -name 'step-????????' | LC_ALL=C sort | tail -n 1)
[ -n "$pretrained" ] || fail "tests/end_to_end/speech.sh has left no pretrained snapshot in $work/chain/1"
train "$work/recogniser" train.steps=300 data.hours=0.05 "start_from=$pretrained"
reached=$(cer "$work/recogniser")
below "$reached" "$scratch" || fail "after pretraining the CER is $reached, from random weights $scratch"
below "$reached" $bar || fail "a CER of $reached where $bar is asked for"

# Other sentences and voices, as text, cues and JSON; a file that is broken does not keep the others from theirs.
snapshot=$(ls -d "$work"/recogniser/snapshots/step-* | tail -n 1)
for format in text json srt; do
  build/hinoki transcribe "$snapshot" "$work/corpus/unseen.tsv" --format $format --output "$work/texts/$format"
  count=$(find "$work/texts/$format" -type f -size +0 | wc -l)
  [ "$count" -gt 0 ] || fail "no text of $work/corpus/unseen.tsv as $format"
done
printf 'no sound' >"$work/texts/broken.wav"
sound=$(find "$work/corpus/wav" -name '*.wav' | LC_ALL=C sort | sed -n 1p)
code=0
build/hinoki transcribe "$snapshot" "$work/texts/broken.wav" "$sound" >"$work/texts/said" || code=$?
[ $code = 3 ] || fail "exit code $code for a broken file"
[ -s "$work/texts/said" ] || fail "a broken file kept another one from its text"
echo "recognise: a CER of $reached after pretraining, $scratch from random weights ($before before training)"
