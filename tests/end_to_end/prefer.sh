#!/usr/bin/env bash
# The model that learned to answer learns what is preferred: a reward model orders pairs that a rule has made, direct
# preference optimisation widens their margin, and proximal policy optimisation raises a score. Needs what chat.sh leaves.
set -euo pipefail
cd "$(dirname "$0")/../.."
hinoki=build/hinoki
base=runs/sft/snapshots/step-00000150
work=corpus/prefer
rm -rf "$work" runs/reward runs/dpo runs/ppo

# Rejected is an answer given twice, or an impolite one.
mkdir -p "$work"
for split in train heldout; do
  grep -E '"kind": "(repeated|rude)"' "corpus/chat/preferences/$split.jsonl" >"$work/$split.jsonl"
done
$hinoki data preferences "$work/train.jsonl" --validation "$work/heldout.jsonl" --tokenizer corpus/learn --output "$work/pairs"
pairs=("start_from=$base" data.path="$work/pairs" log.evaluate_sequences=96 log.every=20)
$hinoki train configs/reward_tiny.toml "${pairs[@]}" train.steps=100 log.evaluate_every=1000000
$hinoki train configs/dpo_tiny.toml "${pairs[@]}" train.steps=40 log.evaluate_every=40
$hinoki train configs/ppo_tiny.toml start_from=$base log.every=40

/usr/bin/python3 - <<'END'
import json
def records(run, key):
    return [r[key] for r in map(json.loads, open(f"runs/{run}/metrics.jsonl")) if key in r]
accuracy = records("reward", "validation/rewards/accuracies")[-1]
margins = records("dpo", "train/rewards/margins")
scores, divergences = records("ppo", "objective/scores"), records("ppo", "objective/kl")
held_out, rolled = records("ppo", "validation/scores")[-1], sum(scores[-4:]) / 4
print(f"prefer: {100 * accuracy:.1f} % of held-out pairs in order; DPO's margin from {margins[0]:.3f} to "
      f"{records('dpo', 'validation/rewards/margins')[-1]:.3f} on held-out pairs; PPO's score from {scores[0]:.3f} to {rolled:.3f}, "
      f"{held_out:.3f} on held-out questions, {divergences[-1]:.2f} nats an answer from the reference")
assert accuracy >= 0.9, "the reward model does not order nine of ten held-out pairs"
assert margins[0] == 0, "DPO does not begin at its reference"
assert records("dpo", "validation/rewards/margins")[-1] > 0.1, "DPO did not widen the margin of held-out pairs"
assert divergences[0] == 0 and records("ppo", "val/largest_ratio_deviation")[0] == 0, "PPO does not begin at its reference"
assert scores[0] < 0.3 < 0.8 < rolled, "PPO did not raise the score of its last four rollouts from under 0.3 to over 0.8"
assert held_out > 0.8, "PPO did not raise the score of answers to held-out questions to over 0.8"
END
