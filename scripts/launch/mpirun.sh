#!/usr/bin/env bash
# Starts a program on many ranks by Open MPI's mpirun and makes the promised exit codes true, which mpirun alone hides:
#
#   scripts/launch/mpirun.sh [options] -- build/hinoki train CONFIG.toml [key.path=value ...]
#
#   -n N             ranks (default: the slots of the host file; without one, a rank for each GPU, or each CPU socket)
#   --hosts FILE     one machine a line: NAME slots=RANKS, as mpirun takes it
#   --threads N      threads of a rank (default: its share of the machine's cores)
#   --bind socket    a rank keeps to one CPU socket (default: none)
#   --restarts N     after a lost rank, start again up to N times (default: 0)
#   --grace SECONDS  how long ranks may outlive one that failed; ten times as long, one that ended well (default: 30)
#
# TERM and INT save at the next step and end with 75; a second one ends all at once. What each code means stands in
# docs/multi-node.md. Settings of mpirun itself come by environment: OMPI_MCA_plm_rsh_agent="ssh -p 2222".
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

usage() {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}
refuse() {
  echo "launch: $*" >&2
  exit 2
}
is_number() { [[ $1 =~ ^[0-9]{1,6}$ ]]; }

ranks="" hosts="" threads="" bind=none grace=30 restarts=0
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case $1 in
    -n | --hosts | --threads | --bind | --grace | --restarts) [ $# -gt 1 ] || usage ;;
    *) usage ;;
  esac
  case $1 in
    -n) ranks=$2 ;;
    --hosts) hosts=$2 ;;
    --threads) threads=$2 ;;
    --bind) bind=$2 ;;
    --grace) grace=$2 ;;
    --restarts) restarts=$2 ;;
  esac
  shift 2
done
[ $# -ge 3 ] || usage
shift
program=$1 verb=$2
shift 2
command -v "$program" >/dev/null || refuse "there is no program $program"
command -v mpirun >/dev/null || refuse "there is no mpirun here: scripts/setup.sh installs it"

# Host files may have comments; a machine without slots= has one rank.
slots_of() {
  awk '{ sub(/#.*/, "") } NF { n = 1; for (i = 2; i <= NF; ++i) if (sub(/^(slots|max_slots)=/, "", $i)) { n = $i; break }
       all += n } END { print all + 0 }' "$1"
}
if [ -n "$hosts" ]; then
  [ -r "$hosts" ] || refuse "cannot read the host file $hosts"
  [ -n "$ranks" ] || ranks=$(slots_of "$hosts")
elif [ -z "$ranks" ]; then
  ranks=$({ nvidia-smi -L 2>/dev/null || true; } | grep -c '^GPU ' || true)
  [ "$ranks" -gt 0 ] || ranks=$(lscpu -p=SOCKET | grep -v '^#' | sort -u | wc -l)
fi
if ! is_number "$ranks" || [ "$ranks" -lt 1 ]; then refuse "$ranks is no number of ranks"; fi
is_number "$grace" || refuse "--grace $grace is no number of seconds"
is_number "$restarts" || refuse "--restarts $restarts is no number"
[ -z "$threads" ] || is_number "$threads" || refuse "--threads $threads is no number"

options=(-n "$ranks" --map-by slot --bind-to none)
case $bind in
  none) ;;
  socket) options=(-n "$ranks" --map-by socket --bind-to socket) ;;
  *) refuse "--bind may be none or socket" ;;
esac
# Here there are as many ranks as somebody wants; elsewhere as many as the host file allows.
if [ -n "$hosts" ]; then options+=(--hostfile "$hosts"); else options+=(--oversubscribe); fi
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
command=("$program")
[ -z "$threads" ] || command+=(--threads "$threads")
command+=("$verb" "$@")

# Only training leaves a word of each rank; of anything else mpirun's own code is the best there is.
[ "$verb" = train ] || exec mpirun "${options[@]}" "${command[@]}"

# The run folder, by the program that reads the config: a bad one is refused here, before anything is started.
run="" words=("$@")
for ((i = 0; i < ${#words[@]}; ++i)); do
  case ${words[$i]} in
    --resume) run=${words[$((i + 1))]:-} ;;
    --resume=*) run=${words[$i]#--resume=} ;;
  esac
done
if [ -z "$run" ]; then run=$("$program" plan --run-folder "$@"); fi

if ! mkdir -p "$run/status" || ! [ -w "$run/status" ]; then
  echo "launch: cannot write in $run/status, where each rank says how it ended" >&2
  exit 1
fi

# Two jobs in one run folder would spoil each other's words. The lock says who is there.
if [ -e "$run/run.lock" ] && ! flock -n "$run/run.lock" true; then
  refuse "$run is in use by $(head -n 1 "$run/run.lock")"
fi

exec 3>&2  # for what is said where the messages of bash about killed jobs are hidden
mpirun="" asked=0
ask() {
  asked=$((asked + 1))
  case $asked in
    1) echo "launch: SIG$1: all ranks save at the next step and stop" >&3 ;;
    2) echo "launch: a second SIG$1: all ranks end at once" >&3 ;;
  esac
  [ -n "$mpirun" ] || return 0
  [ $asked != 2 ] || sleep 1  # two signals that mpirun finds at once would be one
  if [ $asked -le 2 ]; then kill -USR1 "$mpirun"; else kill -KILL "$mpirun"; fi 2>/dev/null || true
}
for signal in TERM INT USR1 HUP; do
  # shellcheck disable=SC2064  # the name is of now
  trap "ask $signal" "$signal"
done

# Is the time over of ranks that have outlived others?
ended_well_at="" failed_at=""
overdue() {
  local file
  for file in "$run"/status/rank-*.json; do
    [ -e "$file" ] || continue
    if grep -qE '^ *"exit": *(0|75),?$' "$file"; then
      ended_well_at=${ended_well_at:-$SECONDS}
    else
      failed_at=${failed_at:-$SECONDS}
    fi
  done
  [ -n "$failed_at" ] && [ $((SECONDS - failed_at)) -ge "$grace" ] && return
  [ -n "$ended_well_at" ] && [ $((SECONDS - ended_well_at)) -ge $((10 * grace)) ]
}

end_mpirun() {
  local i
  echo "launch: not all ranks have ended in time after the first; ending what is left" >&3
  kill -TERM "$mpirun"
  for ((i = 0; i < 10; ++i)); do
    kill -0 "$mpirun" || return 0
    sleep 0.5
  done
  kill -KILL "$mpirun"
}

# One start to its verdict. mpirun has a session of its own: what a terminal sends to all at ^C is for this script alone.
# mpirun forwards USR1 and nothing else; with --enable-recovery it lets the others live when a rank has died, hides every
# code, and waits for ever for a machine that is gone.
launch() {
  local code=0
  rm -f "$run"/status/rank-*.json
  ended_well_at="" failed_at=""
  setsid mpirun --enable-recovery "${options[@]}" "${command[@]}" </dev/null &
  mpirun=$!
  {
    while kill -0 "$mpirun"; do
      sleep 0.5 &
      wait $! || true  # a signal ends the wait, too
      if overdue; then
        end_mpirun || true
        break
      fi
    done
    wait "$mpirun" || code=$?
    mpirun=""
  } 2>/dev/null
  if ! ls "$run"/status/rank-*.json >/dev/null 2>&1 && [ $code != 0 ]; then
    [ $asked = 0 ] || return 75  # before any rank could listen
    if [ $code -gt 128 ]; then  # it crashes now and then while it tells of a rank that died
      echo "launch: mpirun itself was ended by signal $((code - 128)), and the ranks with it" >&2
      return 6
    fi
    echo "launch: no rank began; mpirun ended with $code, see above" >&2
    return 1
  fi
  code=0
  "$here/verdict.sh" "$run" "$ranks" || code=$?
  # Whoever said it twice wanted the end more than the snapshot.
  if [ $asked -gt 1 ] && [ $code = 6 ]; then return 130; fi
  return $code
}

for ((start = 0; ; ++start)); do
  code=0
  launch || code=$?
  # A machine that is coming back may not be there yet: then no rank of the new start begins.
  if [ $start -ge "$restarts" ] || [ $asked != 0 ] || { [ $code != 6 ] && { [ $code != 1 ] || [ $start = 0 ]; }; }; then
    exit $code
  fi
  echo "launch: starting again in 10 s ($((start + 1)) of $restarts)" >&2
  sleep 10 &
  wait $! || true
  [ $asked = 0 ] || exit 75
done
