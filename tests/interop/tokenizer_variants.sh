#!/usr/bin/env bash
# Exported tokenizers of every kind against sentencepiece, in both generations of transformers:
#   tokenizer_variants.sh PROGRAM TEXT      TEXT: JSONL or plain Japanese text to train on
# Newlines as "\n" or <NL>; no normaliser, NFKC, and spm_train's own default, nmt_nfkc; and the kind that older Japanese
# GPT-2 models have, with a dummy prefix, collapsed spaces and an unknown piece instead of bytes.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
hinoki=$(realpath "$1") text=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
models=$(sh "$root/scripts/python_env.sh" models)

train=("$hinoki" tokenizer train --input "$text" --vocabulary-size 3000 --sample-lines 6000 --user-symbol 東京都)
"${train[@]}" --output "$work/plain"
"${train[@]}" --output "$work/symbol-nfkc" --newline symbol --model-nfkc
"${train[@]}" --output "$work/plain-nfkc" --model-nfkc
/usr/bin/python3 - "$text" > "$work/lines.txt" <<'END'
import json, sys
for line in list(open(sys.argv[1], encoding="utf-8"))[:150]:
    print(json.loads(line)["text"] if line.startswith("{") else line, end="\n")
END
spm() {  # NAME, settings
  mkdir -p "$work/$1"
  spm_train --input="$work/lines.txt" --model_prefix="$work/$1/spiece" --vocab_size=3000 --num_threads=2 --minloglevel=2 \
    "${@:2}" 2> "$work/spm_train.err" || { cat "$work/spm_train.err" >&2; exit 1; }
}
spm nmt-nfkc --byte_fallback=true --add_dummy_prefix=false --remove_extra_whitespaces=false --user_defined_symbols='<NL>'
spm gpt2 --pad_id=3 --pad_piece='[PAD]' --control_symbols='[CLS],[SEP],[MASK]'

# A model around each, as the export takes a model's folder.
folders=()
for folder in "$work"/*/; do
  name=$(basename "$folder")
  "$models" - "$folder" <<'END'
import sys, transformers
transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(
    vocab_size=3072, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, rotary_pct=1.0,
    max_position_embeddings=32)).save_pretrained(sys.argv[1])
END
  "$hinoki" export "$folder" "$work/exported-$name" > /dev/null
  folders+=("$work/exported-$name")
done
for environment in tokenizers4 tokenizers5; do
  "$(sh "$root/scripts/python_env.sh" $environment)" "$root/tests/interop/check_tokenizer.py" "${folders[@]}"
done
