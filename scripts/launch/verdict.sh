#!/usr/bin/env bash
# How a run of many ranks ended, from what each rank wrote when it did: verdict.sh RUN RANKS
# Says it in a line for each way of ending, and exits with one code for all:
#   1 to 5  some rank failed by itself; that its peers then missed it is the consequence
#   6       a rank was lost: killed, cut off, or gone with its machine; start again
#   75      stopped on request and saved; start again
#   0       all steps are done
set -euo pipefail
[ $# = 2 ] || { echo "usage: verdict.sh RUN RANKS" >&2; exit 2; }
run=$1 ranks=$2

declare -A who=()  # code -> its ranks
for ((rank = 0; rank < ranks; ++rank)); do
  code=$(sed -n 's/^ *"exit": *\([0-9]\{1,3\}\),\{0,1\}$/\1/p' "$run/status/rank-$rank.json" 2>/dev/null) || true
  who[${code:-none}]+=" $rank"
done

code=0
for candidate in 75 6 none 5 4 3 2 1; do  # what comes later outweighs
  [ -n "${who[$candidate]:-}" ] && code=$candidate
done
for other in "${!who[@]}"; do
  case $other in
    0 | 1 | 2 | 3 | 4 | 5 | 6 | 75) ;;
    none) echo "launch: no word from rank${who[none]}: killed, or its machine is gone or cut off" >&2 ;;
    *) echo "launch: rank${who[$other]} left the unknown code $other" >&2; [ "$code" = 0 ] && code=1 ;;
  esac
done
[ "$code" = none ] && code=6

case $code in
  0) echo "launch: all $ranks ranks are done" ;;
  75) echo "launch: stopped and saved; the same command goes on" ;;
  6) echo "launch: a rank was lost; the same command goes on from the newest snapshot" ;;
  *) echo "launch: failed with code $code, told by rank${who[$code]:-}; see above" ;;
esac >&2
exit "$code"
