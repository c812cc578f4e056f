#!/usr/bin/env bash
# What no one here wrote, against what we wrote: transformers, tokenizers, TensorBoard, HDF5 and sentencepiece. Needs
# build/hinoki and the runs that learn.sh, chat.sh, prefer.sh and recognise.sh of tests/end_to_end leave. Fails if anything it
# should compare is not there.
set -euo pipefail
cd "$(dirname "$0")/../.."
run=runs/learn
model=$run/snapshots/step-00000250
tokens=corpus/learn/tokens
models=$(sh scripts/python_env.sh models)
tensorboard=$(sh scripts/python_env.sh tensorboard)
# The newest snapshot of a run, of which there must be one.
newest() {
  local all
  all=$(ls -d "$1"/snapshots/step-*) || exit 1
  tail -n 1 <<<"$all"
}

/usr/bin/python3 tests/interop/corpus_test.py
rm -rf runs/configs
"$models" tests/interop/roundtrip_import.py build/hinoki 40 runs/configs
"$(sh scripts/python_env.sh tokenizers5)" tests/interop/check_configs.py runs/configs
"$models" tests/interop/roundtrip_hubert.py build/hinoki 24
rm -rf $run/exported $run/exported-bf16
build/hinoki export $model $run/exported
build/hinoki export $model $run/exported-bf16 --dtype bf16
folders=("$model" $run/exported $run/exported-bf16)
for recipe in sft dpo ppo; do
  snapshot=$(newest runs/$recipe)  # apart: in an argument it would fail unheard
  folders+=("$snapshot")
done
"$models" tests/interop/roundtrip_export.py build/hinoki "${folders[@]}"
"$models" tests/interop/read_safetensors.py "${folders[@]}"
rm -rf runs/adapters
build/hinoki train configs/gpt_neox_tiny.toml run=runs/adapters start_from=$model lora.rank=8 data.tokenizer=corpus/learn \
  "data.corpora=[{path=\"$tokens\"}]" model.vocab_size=4096 train.steps=10 train.batch=4 samples.tokens=0 \
  log.evaluate_sequences=4
"$models" tests/interop/roundtrip_adapters.py build/hinoki runs/adapters/snapshots/step-00000010 12
rm -rf corpus/prefer/check runs/reward-check
head -n 60 corpus/prefer/heldout.jsonl >corpus/prefer/some.jsonl
build/hinoki data preferences corpus/prefer/some.jsonl --validation-fraction 0.8 --tokenizer corpus/learn --output corpus/prefer/check
build/hinoki train configs/reward_tiny.toml start_from=runs/reward/snapshots/step-00000100 run=runs/reward-check \
  data.path=corpus/prefer/check train.steps=2 train.batch=2 log.evaluate_sequences=0
"$models" tests/interop/check_reward.py runs/reward-check runs/reward-check/snapshots/step-00000002 corpus/prefer/check
for environment in tokenizers4 tokenizers5; do
  "$(sh scripts/python_env.sh $environment)" tests/interop/check_tokenizer.py $model
done
bash tests/interop/tokenizer_variants.sh build/hinoki corpus/smoke/manpages-ja.jsonl
bash tests/interop/chat_templates.sh build/hinoki corpus/smoke/manpages-ja.jsonl
"$tensorboard" tests/interop/read_events.py $run
speech=build/speech
mapfile -t sounds < <(find $speech/corpus/wav -name '*.wav' | LC_ALL=C sort | head -n 12)
recogniser=$(newest $speech/recogniser)
"$models" tests/interop/check_recogniser.py build/hinoki "$recogniser" "${sounds[@]}"

# HDF5's own tools on our shards: the number of tokens that the attribute gives, and a checksum for each block of them.
shards=0
for shard in "$tokens"/train-*.h5 "$tokens"/validation-*.h5; do
  size_of() { h5ls "$shard" | sed -n "s|^$1 *Dataset {\([0-9]*\)[/0-9A-Za-z]*\(, [0-9]*\)*}.*|\1\2|p"; }
  attribute() { h5dump -a "$1" "$shard" | sed -n 's/.*(0): \([0-9]*\).*/\1/p'; }
  stored=$(size_of tokens)
  blocks=$(((stored + 65535) / 65536))
  [ "$(attribute block)" = 65536 ] && [ "$(attribute tokens)" = "$stored" ] && [ "$stored" -gt 0 ] ||
    { echo "$shard: h5ls sees $stored tokens, the attributes say $(attribute tokens), in blocks of $(attribute block)"; exit 1; }
  [ "$(size_of checksums)" = "$blocks, 16" ] ||
    { echo "$shard: checksums {$(size_of checksums)}, $stored tokens need {$blocks, 16}"; exit 1; }
  [ -n "$(attribute documents)" ] && [ "$(size_of document_ends)" = "$(attribute documents)" ] ||
    { echo "$shard: $(size_of document_ends) documents end, the attribute says $(attribute documents)"; exit 1; }
  shards=$((shards + 1))
done
echo "interop: $shards shards whose sizes HDF5's own tools confirm"

# sentencepiece's own program gives the ids of ours.
head -c 300000 corpus/smoke/manpages-ja.jsonl | /usr/bin/python3 -c '
import json, sys
for line in sys.stdin:
    try: print(json.loads(line)["text"])
    except ValueError: pass' > $run/lines.txt
spm_encode --model=corpus/learn/spiece.model --output_format=id < $run/lines.txt > $run/spm.txt
build/hinoki tokenizer encode --tokenizer corpus/learn < $run/lines.txt > $run/ours.txt
cmp $run/spm.txt $run/ours.txt
[ "$(wc -l < $run/ours.txt)" -ge 100 ] || { echo "only $(wc -l < $run/ours.txt) lines to compare with spm_encode"; exit 1; }
printf 'interop: %d lines with the ids of spm_encode\n' "$(wc -l < $run/ours.txt)"
