#!/usr/bin/env bash
# Every mixture of what ranks may have written, and the one code that the launcher makes of it.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
# expect CODE WORDS...: a word of each rank: its exit code, none, or rubbish
expect() {
  local expected=$1 rank=0 word code=0
  shift
  rm -rf "$work/status"
  mkdir "$work/status"
  for word in "$@"; do
    case $word in
      none) ;;
      rubbish) echo '{"exit": {"exit": 0' >"$work/status/rank-$rank.json" ;;
      # A message is one line, whatever it says.
      *) printf '{\n  "exit": %s,\n  "message": "x\\n  \\"exit\\": 0,",\n  "step": 7\n}\n' "$word" >"$work/status/rank-$rank.json" ;;
    esac
    rank=$((rank + 1))
  done
  bash scripts/launch/verdict.sh "$work" $# 2>"$work/said" || code=$?
  if [ $code != "$expected" ] || [ ! -s "$work/said" ]; then
    echo "verdict of [$*] is $code instead of $expected: $(cat "$work/said")" >&2
    failed=1
  fi
}
expect 0 0 0
expect 75 75 75
expect 75 0 75
expect 6 6 none
expect 6 none 0
expect 6 none none none
expect 6 75 6
expect 6 rubbish 0
expect 3 6 3 6
expect 3 none 3
expect 4 4 4
expect 5 75 5 none
expect 2 5 2
expect 1 6 1 3
expect 1 0 139
expect 6 6 139
code=0
bash scripts/launch/verdict.sh 2>/dev/null || code=$?
[ $code = 2 ] || failed=1
[ $failed = 0 ] && echo "verdict: 17 cases"
exit $failed
