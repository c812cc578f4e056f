#!/usr/bin/env bash
# A run over two hosts that lose each other: a cut cable, a dead host, a dead rank, a polite stop; each ends in time with
# the promised code, and at last one host alone goes on and ends with the bits of a run that nothing befell.
set -euo pipefail
multi_node=$(dirname "$(readlink -f "$0")")
cd "$multi_node/../.."
hinoki=$PWD/${HINOKI:-build/hinoki}
launch=$PWD/scripts/launch/mpirun.sh
deadline=3  # seconds, of every exchange
allowed=2   # more, until a survivor has said so

fail() {
  echo "multi_node: FAILED: $*" >&2
  [ ! -e "${work:-/}/log" ] || tail -n 40 "$work/log" >&2
  exit 1
}
say() { printf 'multi_node: %s\n' "$*"; }

# shellcheck source=tests/multi_node/hosts.sh
. "$multi_node/hosts.sh"
work=$(mktemp -d)
finish() {
  remove_hosts
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
make_hosts
bash "$multi_node/verdict_test.sh"
bash "$multi_node/scripts_test.sh"

# A corpus, a tokenizer and a model, all tiny. 600 steps take some seconds, and a snapshot lies every 20.
cd "$work"
awk 'BEGIN { split("猫 犬 先生 私 彼女", who, " "); split("を見る を読む が好きだ を使う を消した", does, " ")
  for (i = 0; i < 1200; ++i) printf "{\"text\": \"%sは%d番の本%s。\"}\n", who[i % 5 + 1], i * 7919 % 3001, does[i * 7 % 5 + 1] }' >text.jsonl
{
  "$hinoki" --threads 1 tokenizer train --input text.jsonl --output tokens --vocabulary-size 320 --sample-lines 800
  "$hinoki" --threads 1 data text --input text.jsonl --tokenizer tokens --output tokens/shards --validation-fraction 0.1
} >log 2>&1 || fail "no corpus"
cat >config.toml <<END
data = {tokenizer = "tokens", corpora = [{path = "tokens/shards"}], sequence = 64}
train = {steps = 600, batch = 4, micro_batches = 2, seed = 3, reduction_slots = 2, deadline = $deadline}
learning_rate = {peak = 1e-3, warmup = 20}
log = {every = 50, evaluate_sequences = 16, snapshot_every = 20}
samples = {tokens = 0}
[model]
architecture = "gpt_neox"
vocab_size = 384
hidden_size = 128
num_hidden_layers = 2
num_attention_heads = 2
intermediate_size = 512
max_position_embeddings = 64
hidden_dropout = 0.1
attention_dropout = 0.1
END
printf 'alpha slots=1\nbeta slots=1\n' >hosts
export OMPI_MCA_plm_rsh_agent=$multi_node/agent.sh HINOKI_HOSTS=$hosts_id

# start RUN [OPTION...]: on both hosts, in the background.
start() {
  : >log
  rm -rf "$1/status"
  "$multi_node/agent.sh" alpha "'$launch' --hosts hosts --threads 1 --grace 1 ${*:2} -- '$hinoki' train config.toml run=$1" \
    >log 2>&1 &
  launcher=$!
}
steps_in() { if [ -e "$1/metrics.jsonl" ]; then grep -c '"train/loss"' "$1/metrics.jsonl" || true; else echo 0; fi; }
# wait_for RUN STEP: until the run has done it.
wait_for() {
  local i
  for ((i = 0; i < 600; ++i)); do
    [ "$(steps_in "$1")" -lt "$2" ] || return 0
    kill -0 $launcher 2>/dev/null || fail "the run ended before step $2"
    sleep 0.05
  done
  fail "step $2 was not reached in 30 s"
}
wait_for_line() {
  local i
  for ((i = 0; i < 600; ++i)); do
    ! grep -qF "$1" log || return 0
    sleep 0.05
  done
  fail "the launch script did not say \"$1\" in 30 s"
}
expect_code() {
  local code=0
  wait $launcher || code=$?
  [ $code = "$1" ] || fail "the launch script ended with $code instead of $1"
}
pids_of_ranks() {
  ip netns pids "$(net "$1")" | while read -r pid; do
    [ ! "/proc/$pid/exe" -ef "$hinoki" ] || echo "$pid"  # not by path, which a chroot changes
  done
}
now() { date +%s.%N; }
# expect_lost RUN RANK PEER SINCE: the rank ended in time with 6, and names the peer, the step and the exchange.
expect_lost() {
  local file=$1/status/rank-$2.json late
  [ -e "$file" ] || fail "rank $2 left no word"
  grep -q '"exit": 6' "$file" || fail "rank $2 did not end with 6: $(cat "$file")"
  [[ $(cat "$file") =~ step\ [0-9]+:\ no\ answer\ from\ "$3"\ within\ .*waiting\ in\ ..[a-z]+ ]] ||
    fail "rank $2 does not name $3: $(cat "$file")"
  late=$(awk -v ended="$(date -r "$file" +%s.%N)" -v since="$4" 'BEGIN { printf "%.2f", ended - since }')
  awk -v late="$late" -v most=$((deadline + allowed)) 'BEGIN { exit late > most }' ||
    fail "rank $2 took $late s to miss $3; the deadline is $deadline s"
  say "  rank $2 missed $3 and ended after $late s with 6 (deadline $deadline s)"
}
expect_same() {
  local file
  for file in model.safetensors state/optimizer.safetensors; do
    cmp "$1/snapshots/step-00000600/$file" "undisturbed/snapshots/step-00000600/$file" || fail "$1: $file has other bits"
  done
}

# doctor OPTION...: `hinoki doctor` on both hosts. It ends with 1 if it found a problem, whatever that is.
doctor() {
  local code=0 expected=0
  "$multi_node/agent.sh" alpha "'$launch' --hosts hosts -- '$hinoki' doctor $*" >log 2>&1 || code=$?
  ! grep -q '^!!' log || expected=1
  ! grep -q 'there is no such folder' log || expected=2
  [ $code = $expected ] || fail "doctor ended with $code instead of $expected"
}
heard() { grep -qF -- "$1" log || fail "doctor does not say: $1"; }
say "doctor looks at both hosts"
doctor --folder "$work"
for line in 'alpha, rank 0' 'beta, rank 1' '2 ranks on 2 hosts' 'ok   program ' 'ok   libraries ' 'ok   clocks ' \
  'ok   shared folder ' 'ok   locks ' 'all-reduce       64 MiB in '; do
  heard "$line"
done
mkdir apart
HINOKI_APART=$work/apart doctor --folder "$work/apart"
heard '!!   shared folder'
heard 'rank 0 does not see what 1 wrote'
doctor --folder "$work/none"
heard "$work/none: there is no such folder on alpha"

say "one rank, undisturbed"
"$hinoki" --threads 1 train config.toml run=undisturbed >log 2>&1 || fail "the undisturbed run"

say "two hosts: the cable is cut"
start run
wait_for run 50
cut_cable
since=$(now)
expect_code 6
expect_lost run 0 "rank 1 (beta)" "$since"
expect_lost run 1 "rank 0 (alpha)" "$since"
kill_host beta  # Open MPI's daemon there still waits for news
mend_cable

say "two hosts again: one dies"
done_before=$(steps_in run)
start run
wait_for run $((done_before + 50))
kill_host beta
since=$(now)
expect_code 6
expect_lost run 0 "rank 1 (beta)" "$since"
[ ! -e run/status/rank-1.json ] || fail "a dead host has left a word"

say "two hosts again: one rank dies, and all start again"
done_before=$(steps_in run)
start run --restarts 1
wait_for run $((done_before + 50))
kill -KILL "$(pids_of_ranks beta)"
since=$(now)
wait_for_line "starting again in 10 s (1 of 1)"
expect_lost run 0 "rank 1 (beta)" "$since"

say "they have started again, and are asked to stop"
wait_for run $(($(steps_in run) + 50))
kill -TERM $launcher
expect_code 75
[ "$(cat run/status/rank-?.json | grep -c '"exit": 75')" = 2 ] || fail "not all ranks say 75"
grep -q 'launch: SIGTERM: all ranks save' log || fail "the launch script does not say what it does"

say "two hosts again: told twice to stop"
start run
wait_for run $(($(steps_in run) + 20))
rank_of_beta=$(pids_of_ranks beta)
kill -STOP "$rank_of_beta"  # so that the others cannot save
sleep 0.2
kill -TERM $launcher
wait_for_line "launch: SIGTERM: all ranks save"
kill -TERM $launcher
wait_for_line "launch: a second SIGTERM: all ranks end at once"
for ((i = 0; i < 200; ++i)); do
  [ -n "$(pids_of_ranks alpha)" ] || break
  sleep 0.05
done
[ -z "$(pids_of_ranks alpha)" ] || fail "rank 0 lives on"
[ ! -e run/status/rank-0.json ] || fail "rank 0 waited for the other instead: $(cat run/status/rank-0.json)"
kill -KILL "$rank_of_beta"
expect_code 130

say "one host goes on to the end"
"$hinoki" --threads 1 train config.toml run=run >log 2>&1 || fail "one rank does not go on"
expect_same run
"$hinoki" snapshot verify run >log 2>&1 || fail "the snapshots do not verify"

say "two hosts, undisturbed"
start both
expect_code 0
expect_same both
say "all ended with the same bits"
