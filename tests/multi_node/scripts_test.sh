#!/usr/bin/env bash
# The launch scripts without a cluster: their syntax, what they refuse, and what the batch script does with each verdict,
# with stand-ins for the programs of Slurm.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
hinoki=$root/${HINOKI:-build/hinoki}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "launch scripts: FAILED: $*" >&2
  exit 1
}

shellcheck -x scripts/launch/*.sh scripts/launch/*.sbatch tests/multi_node/*.sh

# The manifest is one MPIJob whose launcher calls a script of ours, with options that it knows.
/usr/bin/python3 - <<'END' >"$work/words" || fail "the Kubernetes manifest"
import yaml
[job] = yaml.safe_load_all(open("scripts/launch/kubernetes.yaml"))
assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
replicas = job["spec"]["mpiReplicaSpecs"]
assert set(replicas) == {"Launcher", "Worker"} and all(r["restartPolicy"] == "OnFailure" for r in replicas.values())
for replica in replicas.values():
    pod = replica["template"]["spec"]
    [container] = pod["containers"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    assert container["workingDir"].startswith("/shared")
    if replica is replicas["Launcher"]:
        print("\n".join(container["command"] + container["args"]))
END
mapfile -t words < <(sed "s,/etc/mpi/hostfile,$work/hosts,; s,^build/hinoki,$hinoki,; s,CONFIG.toml,$work/none.toml," "$work/words")
printf 'worker-0 slots=2  # of two\n# none\nworker-1\n' >"$work/hosts"
# refused CODE TEXT COMMAND...
refused() {
  local expected=$1 text=$2 code=0
  shift 2
  "$@" >"$work/said" 2>&1 || code=$?
  if [ $code != "$expected" ] || ! grep -qF -- "$text" "$work/said"; then
    fail "$* ended with $code instead of $expected, saying: $(cat "$work/said")"
  fi
}
refused 2 "none.toml: cannot read" "${words[@]}"

launch=scripts/launch/mpirun.sh
refused 2 "scripts/launch/mpirun.sh [options]" $launch
refused 2 "scripts/launch/mpirun.sh [options]" $launch -n 2 "$hinoki" train x
refused 2 "scripts/launch/mpirun.sh [options]" $launch --frobnicate 2 -- "$hinoki" train x
refused 2 "there is no program nothing" $launch -n 2 -- nothing train x
refused 2 "0 is no number of ranks" $launch -n 0 -- "$hinoki" train x
refused 2 "many is no number of ranks" $launch -n many -- "$hinoki" train x
refused 2 "--bind may be none or socket" $launch -n 2 --bind core -- "$hinoki" train x
refused 2 "cannot read the host file" $launch --hosts "$work/none" -- "$hinoki" train x

cat >"$work/config.toml" <<END
run = "$work/run"
data = {tokenizer = "none", corpora = [{path = "none"}]}
END
mkdir "$work/run" "$work/run/status" "$work/bin"
echo "process 1 on host alpha" >"$work/run/run.lock"
(exec flock --no-fork "$work/run/run.lock" sleep 60) &
holder=$!
sleep 0.2
refused 2 "is in use by process 1 on host alpha" $launch -n 2 -- "$hinoki" train "$work/config.toml"
kill $holder
wait $holder 2>/dev/null || true
refused 1 "cannot write in /proc/none/status" $launch -n 2 -- "$hinoki" train "$work/config.toml" run=/proc/none
refused 1 "no rank began" env OMPI_MCA_orte_default_hostfile=/none $launch -n 2 -- "$hinoki" train "$work/config.toml"

# What stands in for srun writes two ranks' words, at the earliest when it is asked to stop if it shall wait.
cat >"$work/bin/srun" <<END
#!/bin/sh
trap 'touch "$work/asked"' USR1
[ -z "\$WAITS" ] || while [ ! -e "$work/asked" ]; do sleep 0.1; done
for rank in 0 1; do
  printf '{\n  "exit": %s,\n  "step": 3\n}\n' "\$CODE" >"$work/run/status/rank-\$rank.json"
done
exit \$CODE
END
printf '#!/bin/sh\necho "$*" >>"%s/requeued"\n' "$work" >"$work/bin/scontrol"
chmod +x "$work"/bin/*
# batch CODE REQUEUED [RESTARTS]
batch() {
  local code=0 requeued=no
  rm -f "$work/requeued" "$work/asked"
  (
    export SLURM_SUBMIT_DIR=$root SLURM_NTASKS=2 SLURM_JOB_ID=7 SLURM_RESTART_COUNT=${3:-0} CODE=$1 WAITS=${4:-}
    export HINOKI=$hinoki PATH="$work/bin:$PATH"
    exec bash scripts/launch/slurm.sbatch train "$work/config.toml"
  ) >"$work/said" 2>&1 &
  if [ -n "${4:-}" ]; then
    sleep 1
    kill -USR1 $!
  fi
  wait $! || code=$?
  [ ! -e "$work/requeued" ] || requeued=$(cat "$work/requeued")
  if [ $code != "$1" ] || [ "$requeued" != "$2" ]; then
    fail "the batch script ended with $code, requeued: $requeued, for code $1: $(cat "$work/said")"
  fi
}
batch 0 no
batch 3 no
batch 75 "requeue 7"
batch 75 "requeue 7" 500
batch 6 "requeue 7"
batch 6 no 20
batch 75 "requeue 7" 0 waits
[ -e "$work/asked" ] || fail "the batch script does not forward USR1"
refused 2 "usage: sbatch" env SLURM_SUBMIT_DIR="$root" bash scripts/launch/slurm.sbatch doctor
echo "launch scripts: shellcheck, the manifest, 12 refusals, 7 batch jobs"
