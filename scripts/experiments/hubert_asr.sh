#!/usr/bin/env bash
# What pretraining is worth to a recogniser: character error rates by minutes of labelled speech, from random weights and from
# a HuBERT that has heard the whole corpus without transcripts. Some 40 minutes on two cores.
#   scripts/experiments/hubert_asr.sh [FOLDER]     prints a table in Markdown; killed, it goes on where it was
# Environment: SPEECH (20m) of the corpus; MINUTES ("2 5 15") that are labelled; STEPS (400) of fine-tuning
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-runs/hubert_asr}
minutes=${MINUTES:-2 5 15}
steps=${STEPS:-400}
mkdir -p "$work"

scripts/corpus/speech.sh "${SPEECH:-20m}" "$work/corpus"
build/hinoki data speech --input "$work/corpus/train.tsv" --output "$work/shards" --validation-fraction 0.06
build/hinoki train configs/hubert_tiny_chain.toml "run=$work/hubert" "corpus=$work/shards"
pretrained=$(find "$work/hubert/2/train/snapshots" -mindepth 1 -maxdepth 1 -name 'step-????????' | LC_ALL=C sort | tail -n 1)

# The last character error rate that a run has measured, in per cent: cer RUN
cer() {
  /usr/bin/python3 -c '
import json, sys
rates = [r["validation/cer"] for r in map(json.loads, open(sys.argv[1] + "/metrics.jsonl")) if "validation/cer" in r]
print(f"{100 * rates[-1]:.1f} %")' "$1"
}

for start in random pretrained; do
  for labelled in $minutes; do
    from=()
    [ $start = random ] || from=("start_from=$pretrained")
    build/hinoki train configs/hubert_ctc_tiny.toml "run=$work/$start-$labelled" "data.corpus=$work/shards" \
      "data.hours=$(/usr/bin/python3 -c "print($labelled / 60)")" "train.steps=$steps" "log.evaluate_every=$steps" "${from[@]}"
  done
done

echo
echo "| labelled speech | from random weights | after pretraining |"
echo "| --- | --- | --- |"
for labelled in $minutes; do
  echo "| $labelled min | $(cer "$work/random-$labelled") | $(cer "$work/pretrained-$labelled") |"
done | tee "$work/table.md"
