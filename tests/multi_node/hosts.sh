#!/usr/bin/env bash
# Two "hosts" on one machine: network namespaces joined by a cable, each with a name of its own. Sourced by the tests.
# They share the disk, as the hosts of a cluster share the folder of a run.
hosts_id=$$
net() { echo "hinoki-$hosts_id-$1"; }       # the namespace of a host
cable() { echo "hk$hosts_id${1:0:1}"; }     # its end of the cable

make_hosts() {
  local host address=10.77.0.1 why
  [ "$(id -u)" = 0 ] || fail "network namespaces need root"
  command -v ip >/dev/null || fail "there is no ip program: scripts/setup.sh --test installs iproute2"
  for host in alpha beta; do
    why=$(ip netns add "$(net $host)" 2>&1) || fail "cannot make a network namespace: $why"
  done
  why=$(ip link add "$(cable alpha)" netns "$(net alpha)" type veth peer name "$(cable beta)" netns "$(net beta)" 2>&1) ||
    fail "cannot make a cable between two namespaces: $why"
  for host in alpha beta; do
    ip -n "$(net $host)" addr add $address/24 dev "$(cable $host)"
    ip -n "$(net $host)" link set lo up
    ip -n "$(net $host)" link set "$(cable $host)" up
    address=10.77.0.2
  done
}

cut_cable() { ip -n "$(net beta)" link set "$(cable beta)" down; }
mend_cable() { ip -n "$(net beta)" link set "$(cable beta)" up; }
kill_host() { ip netns pids "$(net "$1")" | xargs -r kill -KILL; }

remove_hosts() {
  local host
  for host in alpha beta; do
    kill_host $host 2>/dev/null || true
    ip netns del "$(net $host)" 2>/dev/null || true
  done
}
