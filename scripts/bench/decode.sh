#!/bin/sh
# Decoding with a cache of keys and values, Hinoki and PyTorch in turns, and one Markdown table:
#   scripts/bench/decode.sh [PROGRAM]     (default: build/hinoki)
# Settings by environment: SIZES="tiny small", BATCHES="1 8", THREADS=2, ROUNDS=3 (of both, in turns), TOKENS=64,
# PYTHON (a Python with PyTorch; default: Debian's 1.13, as of scripts/bench/vs_torch.sh). The best round of each counts.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
program=${1:-$root/build/hinoki}
threads=${THREADS:-2}
tokens=${TOKENS:-64}
results=$(mktemp)
trap 'rm -f "$results"' EXIT

[ -x "$program" ] || { echo "no program at $program: build it first, or name it" >&2; exit 2; }
openblas=/usr/lib/$(uname -m)-linux-gnu/openblas-openmp/libblas.so.3
[ -e "$openblas" ] || { echo "the peer needs libopenblas0-openmp, or it multiplies 30 times slower: scripts/setup.sh --test" >&2; exit 2; }
python=${PYTHON:-$("$root/scripts/python_env.sh" models)}

for size in ${SIZES:-tiny small}; do
  for batch in ${BATCHES:-1 8}; do
    round=0
    while [ "$round" -lt "${ROUNDS:-3}" ]; do
      echo "size $size, batch $batch, round $((round + 1))" >&2
      set -- --size "$size" --batch "$batch" --threads "$threads" --tokens "$tokens" --rounds 1
      "$program" bench decode "$@" --json >> "$results"
      "$python" "$root/scripts/bench/peer_decode.py" "$@" >> "$results"
      "$program" bench decode "$@" --dtype bf16 --json >> "$results"
      "$program" bench decode "$@" --dtype f16 --json >> "$results"
      round=$((round + 1))
    done
  done
done
python3 "$root/scripts/bench/decode_table.py" "$results"
