#!/bin/sh
# Training steps of Hinoki and PyTorch side by side, in turns, and one Markdown table:
#   scripts/bench/vs_torch.sh [PROGRAM]     (default: build/hinoki)
# Settings by environment: TASK=gpt|hubert, SIZES="tiny small" (hubert: tiny), THREADS="1 2", ROUNDS=2, STEPS=5, WAIT=120
# (seconds a peer may wait for undisturbed steps), NEWEST=auto|yes|no (the newest PyTorch: a download of about 1 GB; auto
# takes it if it is there).
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
program=${1:-$root/build/hinoki}
task=${TASK:-gpt}
case $task in
  gpt) sizes=${SIZES:-tiny small} ;;
  *) sizes=${SIZES:-tiny} ;;
esac
threads=${THREADS:-1 2}
rounds=${ROUNDS:-2}
steps=${STEPS:-5}
results=$(mktemp)
trap 'rm -f "$results"' EXIT

[ -x "$program" ] || { echo "no program at $program: build it first, or name it" >&2; exit 2; }
openblas=/usr/lib/$(uname -m)-linux-gnu/openblas-openmp/libblas.so.3
[ -e "$openblas" ] || { echo "the peer needs libopenblas0-openmp, or it multiplies 30 times slower: scripts/setup.sh --test" >&2; exit 2; }
# OpenBLAS takes its kernels of 2004 for processors that it does not know; a peer shall have the best that there are.
core=$(OPENBLAS_VERBOSE=2 python3 -c "import ctypes; ctypes.CDLL('$openblas')" 2>&1 | sed -n 's/^Core: //p')
if [ "$core" = Prescott ] && [ -z "${OPENBLAS_CORETYPE:-}" ]; then
  case $(grep -m1 '^flags' /proc/cpuinfo) in
    *avx512vl*) OPENBLAS_CORETYPE=SkylakeX ;;
    *avx2*) OPENBLAS_CORETYPE=Haswell ;;
    *) OPENBLAS_CORETYPE=$core ;;
  esac
  export OPENBLAS_CORETYPE
  echo "OpenBLAS takes this processor for a Prescott: measured with OPENBLAS_CORETYPE=$OPENBLAS_CORETYPE" >&2
fi
peers=$("$root/scripts/python_env.sh" models)
newest=${HINOKI_VENVS:-$root/.venv}/torch
case ${NEWEST:-auto} in
  yes) peers="$peers $("$root/scripts/python_env.sh" torch)" ;;
  auto) [ ! -e "$newest/stamp" ] || peers="$peers $("$root/scripts/python_env.sh" torch)" ;;
esac

for size in $sizes; do
  for count in $threads; do
    round=0
    while [ "$round" -lt "$rounds" ]; do
      echo "$task, size $size, $count thread(s), round $((round + 1)) of $rounds" >&2
      "$program" bench step --task "$task" --size "$size" --threads "$count" --steps "$steps" --json >> "$results"
      # The same program with OpenBLAS's products: how much of the difference is ours.
      "$program" bench step --task "$task" --size "$size" --threads "$count" --steps "$steps" --gemm openblas --json >> "$results"
      for python in $peers; do
        "$python" "$root/scripts/bench/peer_torch.py" --task "$task" --size "$size" --threads "$count" --steps "$steps" \
          --max-seconds "${WAIT:-120}" >> "$results"
        "$program" bench step --task "$task" --size "$size" --threads "$count" --steps "$steps" --json >> "$results"
      done
      round=$((round + 1))
    done
  done
done
if grep '"torch 1' "$results" | grep -vq '"blas": "[^"]*openblas-openmp'; then
  echo "Debian's PyTorch did not take OpenBLAS with OpenMP; the table would flatter Hinoki" >&2
  exit 1
fi
python3 "$root/scripts/bench/table.py" "$results"
