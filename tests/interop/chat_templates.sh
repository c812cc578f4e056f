#!/usr/bin/env bash
# The chat template of an export against what was trained on, for every template and for tokenizers that say newline either
# way, in both generations of transformers:
#   chat_templates.sh PROGRAM TEXT      TEXT: JSONL or plain Japanese text to train tokenizers on
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
hinoki=$(realpath "$1") text=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

train=("$hinoki" tokenizer train --input "$text" --vocabulary-size 3000 --sample-lines 6000)
"${train[@]}" --output "$work/plain"
"${train[@]}" --output "$work/symbol-nfkc" --newline symbol --model-nfkc
"${train[@]}" --output "$work/marks" --user-symbol '<|im_start|>' --user-symbol '<|im_end|>'
for n in $(seq 40); do
  printf '{"instruction": "%s 番は何ですか。", "output": "%s 番です。"}\n' "$n" "$n"
done >"$work/chat.jsonl"

# A model that has hardly learned carries its template as one that has.
snapshots=()
for tokenizer in plain symbol-nfkc marks; do
  for template in rinna chatml; do
    name=$tokenizer-$template
    "$hinoki" data chat "$work/chat.jsonl" --tokenizer "$work/$tokenizer" --template $template --output "$work/data-$name" \
      --validation-fraction 0.3 >/dev/null
    cat >"$work/$name.toml" <<END
recipe = "sft"
run = "$work/$name"
[model]
vocab_size = 3072
hidden_size = 16
num_hidden_layers = 1
num_attention_heads = 2
intermediate_size = 16
max_position_embeddings = 128
[data]
path = "$work/data-$name"
sequence = 128
[train]
steps = 1
batch = 1
[samples]
tokens = 0
END
    "$hinoki" train "$work/$name.toml" >/dev/null 2>"$work/$name.err" || { cat "$work/$name.err" >&2; exit 1; }
    "$hinoki" export "$work/$name/snapshots/step-00000001" "$work/exported-$name" >/dev/null
    snapshots+=("$work/exported-$name=$template")
  done
done
for environment in tokenizers4 tokenizers5; do
  "$(sh "$root/scripts/python_env.sh" $environment)" "$root/tests/interop/check_chat.py" "$hinoki" "${snapshots[@]}"
done
