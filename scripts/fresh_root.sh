#!/bin/sh
# Tries what the README promises of a fresh Debian 12 machine: makes a bare root in FOLDER, clones the last commit into it and
# runs a command there, the README's first one if none is given. Needs root, debootstrap and a network; the folder stays.
#   scripts/fresh_root.sh FOLDER [COMMAND ...]      e.g.  scripts/fresh_root.sh /tmp/bookworm bash scripts/test.sh
# MIRROR=URL takes the packages from there. Later calls with the same folder go on in it.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
folder=${1:-}
if [ -z "$folder" ]; then
  echo "usage: scripts/fresh_root.sh FOLDER [COMMAND ...]" >&2
  exit 2
fi
shift
[ $# -gt 0 ] || set -- bash scripts/quickstart.sh
[ "$(id -u)" = 0 ] || { echo "fresh_root.sh changes its root, which only root may: sudo $0" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "debootstrap is missing: apt-get install debootstrap" >&2; exit 2; }

if [ ! -e "$folder/hinoki" ]; then
  debootstrap --variant=minbase bookworm "$folder" ${MIRROR:+"$MIRROR"}
  cp /etc/resolv.conf "$folder/etc/resolv.conf"
  git clone -q --no-hardlinks "$here" "$folder/hinoki"
fi

root=$(CDPATH='' cd -- "$folder" && pwd)
# A network that signs for others says here whom Python's installer is to trust; the root does not know it otherwise.
[ -z "${PIP_CERT:-}" ] || cp "$PIP_CERT" "$root/etc/pip-trusts.crt"
# A mount namespace of its own: nothing stays mounted when the command ends, however it ends. A clean environment: what
# this machine sets would not be set there.
# shellcheck disable=SC2016  # what stands in single quotes is for the inner shells
exec unshare --mount sh -eu -c '
  root=$1; shift
  mount --bind "$root" "$root"  # a root that is no mount point has no network namespaces
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  [ ! -e "$root/etc/pip-trusts.crt" ] || set -- env PIP_CERT=/etc/pip-trusts.crt "$@"
  exec env -i HOME=/root TERM="${TERM:-dumb}" PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    chroot "$root" sh -eu -c "cd /hinoki && exec \"\$@\"" sh "$@"' sh "$root" "$@"
