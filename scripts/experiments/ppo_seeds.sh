#!/usr/bin/env bash
# Does reinforcement learning come to the same end from every seed? Ten runs of configs/ppo_tiny.toml, some quarter of an hour on two
# cores; needs the model that tests/end_to_end/chat.sh leaves, or another that configs/sft_tiny.toml has made.
#   scripts/experiments/ppo_seeds.sh [SNAPSHOT]      prints a table in Markdown; ends with 1 unless 9 of 10 pass
# Environment: SEEDS (1 2 3 4 5 6 7 8 9 10), STEPS (400)
set -euo pipefail
cd "$(dirname "$0")/../.."
base=${1:-runs/sft/snapshots/step-00000150}
seeds=${SEEDS:-1 2 3 4 5 6 7 8 9 10}
steps=${STEPS:-400}

rm -rf runs/ppo-seeds
mkdir -p runs/ppo-seeds
for seed in $seeds; do
  build/hinoki train configs/ppo_tiny.toml start_from="$base" run="runs/ppo-seeds/$seed" train.seed="$seed" train.steps="$steps" \
    log.every=80 log.evaluate_every=1000000 log.sample_every=1000000
done

/usr/bin/python3 - "$seeds" <<'END'
import json, sys
print("| seed | score before | of the last four rollouts | of held-out questions | nats an answer from the reference |")
print("| --- | --- | --- | --- | --- |")
passed, seeds = 0, sys.argv[1].split()
for seed in seeds:
    records = [json.loads(line) for line in open(f"runs/ppo-seeds/{seed}/metrics.jsonl")]
    rolled = [r for r in records if "objective/scores" in r]
    before, after = rolled[0]["objective/scores"], sum(r["objective/scores"] for r in rolled[-4:]) / 4
    held_out = [r for r in records if "validation/scores" in r][-1]["validation/scores"]
    kl = rolled[-1]["objective/kl"]
    passed += before < 0.3 and min(after, held_out) > 0.8
    print(f"| {seed} | {before:.3f} | {after:.3f} | {held_out:.3f} | {kl:.2f} |")
print(f"\n{passed} of {len(seeds)} went from under 0.3 to over 0.8")
sys.exit(passed < 0.9 * len(seeds))
END
