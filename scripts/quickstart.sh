#!/usr/bin/env bash
# From a bare Debian 12 machine to a trained Japanese GPT-NeoX in a Hugging Face folder. Finished stages are kept: run it
# again after an interruption, and it goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."

# Stages tell how long each of them took, when the next one begins and in one line at the end.
began=0 name="" times=""
stage() {
  if [ -n "$name" ]; then
    times="$times${times:+, }$name $((SECONDS - began)) s"
    printf '== %s took %d s\n' "$name" $((SECONDS - began))
  fi
  name=${1%%:*} began=$SECONDS
  [ "$1" = end ] || printf '\n== %s\n' "$1"
}

stage "packages"
bash scripts/setup.sh

stage "build: kernels for this CPU alone"
cmake --preset release -DHINOKI_BUILD_TESTS=OFF -DHINOKI_CPU=native -DHINOKI_UNITY=ON >/dev/null
cmake --build --preset release --target hinoki

stage "corpus: Japanese manuals, help texts and stories out of Debian packages"
bash scripts/corpus/build.sh lean corpus/lean

work=corpus/quickstart
mkdir -p "$work"
if [ ! -f "$work/spiece.model" ]; then
  stage "tokenizer: 8,000 pieces from 60,000 sampled lines"
  build/hinoki tokenizer train --input corpus/lean --output "$work" --vocabulary-size 8000 --sample-lines 60000
fi

stage "data: text to token shards"
build/hinoki data text --input corpus/lean --tokenizer "$work" --output "$work/tokens" --deduplicate line \
  --validation-fraction 0.02

stage "training"
build/hinoki train configs/gpt_neox_tiny.toml

model=$(ls -d runs/quickstart/snapshots/step-* | tail -1)
stage "evaluation: what was learned beyond counting"
build/hinoki eval "$model" --corpus "$work/tokens"

stage "text"
for prompt in "このコマンドは" "ファイルを" "設定を変更するには、"; do
  build/hinoki generate "$model" --prompt "$prompt" --temperature 0.7 --top-p 0.9 --max-tokens 48 --seed 7
done

stage end
printf '\n%s: %dm%02ds in all\n' "$times" $((SECONDS / 60)) $((SECONDS % 60))
printf 'The model is in %s: transformers opens it as it is (see the README.md in it).\n' "$model"
