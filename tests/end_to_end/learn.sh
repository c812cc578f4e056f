#!/usr/bin/env bash
# The whole way on real text: corpus, tokenizer, data, training, evaluation. An untrained model, and one that only counts
# pieces, both miss the bar. Leaves runs/learn for the comparisons with transformers.
set -euo pipefail
cd "$(dirname "$0")/../.."
hinoki=build/hinoki
work=corpus/learn
run=runs/learn
rm -rf "$work" "$run"

bash scripts/corpus/build.sh smoke corpus/smoke
$hinoki tokenizer train --input corpus/smoke --output "$work" --vocabulary-size 4000 --sample-lines 12000
$hinoki data text --input corpus/smoke --tokenizer "$work" --output "$work/tokens" --deduplicate line --validation-fraction 0.02

# 250 steps x 4 sequences x 256 tokens: a quarter of a million tokens. Saved every 20 steps, stopped half way and resumed.
train=($hinoki train configs/gpt_neox_tiny.toml run=$run data.tokenizer=$work "data.corpora=[{path=\"$work/tokens\"}]"
  model.vocab_size=4096 train.steps=250 train.batch=4 log.every=50 log.evaluate_every=125 log.snapshot_every=20)
"${train[@]}" &
trainer=$!
while [ ! -d $run/snapshots/step-00000120 ]; do
  kill -0 $trainer 2>/dev/null || break
  sleep 0.2
done
kill -TERM $trainer
code=0
wait $trainer || code=$?
[ "$code" = 75 ] || { echo "stopped by SIGTERM, training ended with $code instead of 75"; exit 1; }
"${train[@]}"

model=$run/snapshots/step-00000250
/usr/bin/python3 - $run/metrics.jsonl <<'END'
import json, sys
steps = [json.loads(line) for line in open(sys.argv[1])]
blocked = [s["speed/save_blocked_seconds"] for s in steps if "speed/save_blocked_seconds" in s]
share = sum(blocked) / (sum(blocked) + sum(s.get("speed/seconds", 0) for s in steps))
print(f"saves: {len(blocked)} held training up for {100 * share:.2f} % of its time")
assert len(blocked) >= 12, "not every save is in metrics.jsonl"
END
# Of the start and of the resume.
sed -n 's/^first step/learn: first step/p' $run/log.txt
$hinoki snapshot verify $run
$hinoki eval $model --corpus "$work/tokens" | tee $run/eval.txt
$hinoki generate $model --prompt "このコマンドは" --max-tokens 32 --temperature 0.7 --seed 1

# The bar: at least 8 % below the unigram model over the same pieces.
awk '/^this model/ { if (match($0, /[-+][0-9.]+ % of the unigram/)) share = substr($0, RSTART) + 0; found = 1 }
     END { if (!found || share > -8) { print "learn: the model is not 8 % below the unigram model: " share " %"; exit 1 }
           print "learn: " share " % against the unigram model; the bar is -8 %" }' $run/eval.txt
