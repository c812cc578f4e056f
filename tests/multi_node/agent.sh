#!/usr/bin/env bash
# What ssh is between real hosts: agent.sh HOST COMMAND... runs it on one of the "hosts" of hosts.sh. mpirun gives the
# command as words of a shell. The folder HINOKI_APART, if there is one, is each host's own.
set -euo pipefail
host=$1
shift
# shellcheck disable=SC2016  # for the inner shell
exec ip netns exec "hinoki-$HINOKI_HOSTS-$host" unshare --uts \
  sh -c 'hostname "$0" && { [ -z "$HINOKI_APART" ] || mount -t tmpfs none "$HINOKI_APART"; } && exec sh -c "$1"' \
  "$host" "exec $*"
