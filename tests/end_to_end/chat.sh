#!/usr/bin/env bash
# A model learns to answer: questions out of manual pages, dictionaries and example sentences, supervised fine-tuning, all
# weights and adapters. What the base model loses on held-out answers is above the bars. Needs the run that learn.sh leaves.
set -euo pipefail
cd "$(dirname "$0")/../.."
hinoki=build/hinoki
base=runs/learn/snapshots/step-00000250
work=corpus/chat
rm -rf "$work" runs/sft runs/sft-base runs/sft-lora

sh scripts/corpus/words.sh corpus/words
/usr/bin/python3 scripts/corpus/chat.py corpus/smoke "$work" corpus/words
$hinoki data chat "$work/instructions/train.jsonl" --validation "$work/instructions/heldout.jsonl" --tokenizer corpus/learn \
  --output "$work/tokens"
$hinoki data preferences "$work/preferences/train.jsonl" --validation "$work/preferences/heldout.jsonl" \
  --tokenizer corpus/learn --output "$work/pairs"
train=($hinoki train configs/sft_tiny.toml start_from=$base data.path="$work/tokens" train.steps=150 log.every=50
  log.evaluate_every=1000000)
"${train[@]}" run=runs/sft-base train.steps=1 learning_rate.peak=1e-9 learning_rate.floor=0 samples.tokens=0  # as it was
"${train[@]}"
"${train[@]}" run=runs/sft-lora lora.rank=16 learning_rate.peak=3e-3 samples.tokens=0

/usr/bin/python3 - <<'END'
import json
def loss(run):
    return [r["validation/loss"] for r in map(json.loads, open(f"runs/{run}/metrics.jsonl")) if "validation/loss" in r][-1]
base, whole, adapters = loss("sft-base"), loss("sft"), loss("sft-lora")
print(f"sft: held-out answers cost {base:.3f} nats/token before, {whole:.3f} after, {adapters:.3f} with adapters of rank 16")
assert whole < 0.85 * base, "fine-tuning did not bring the loss of held-out answers 15 % down"
assert adapters < 0.9 * base, "adapters did not bring the loss of held-out answers 10 % down"
END
