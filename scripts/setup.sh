#!/bin/sh
# Installs the Debian 12 packages Hinoki is built from. --test adds what only the tests need.
# Run as root or as a user with sudo, as often as you like: what is there stays, and nothing is asked of the network then.
set -eu

# Compilers and tools; libraries; what the corpus scripts run. Those fetch texts, and the voice that reads them (which is in
# Debian's contrib section), into folders of their own.
packages="
  g++ cmake ninja-build ccache pkg-config git ca-certificates
  libhdf5-dev libsentencepiece-dev libxxhash-dev libzstd-dev zlib1g-dev libicu-dev
  libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libsndfile1-dev libsoxr-dev
  libopenblas-openmp-dev libopenmpi-dev openmpi-bin
  libgtest-dev
  python3"

# The references: HDF5's and sentencepiece's own programs, PyTorch on the OpenBLAS that uses every core
# (alone it would fall to the reference BLAS, tens of times slower), clang with the runtime its fuzzer needs, and what
# makes two hosts out of one and reads the launch scripts.
test_packages="
  hdf5-tools sentencepiece
  python3-venv python3-torch python3-numpy libopenblas0-openmp
  clang libclang-rt-14-dev clang-format
  iproute2 hostname shellcheck python3-yaml"

for argument in "$@"; do
  case $argument in
    --test) packages="$packages $test_packages" ;;
    --list) list=yes ;;
    *) echo "usage: scripts/setup.sh [--test] [--list]" >&2; exit 2 ;;
  esac
done
if [ "${list:-no}" = yes ]; then
  # shellcheck disable=SC2086  # a list of words
  printf '%s\n' $packages
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "setup.sh knows Debian and its kin only (no apt-get here). Needed, under your system's names:" $packages >&2
  exit 2
fi

missing=""
for package in $packages; do
  case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true) in
    ii*) ;;
    *) missing="$missing $package" ;;
  esac
done
if [ -z "$missing" ]; then
  echo "setup: every package is installed"
  exit 0
fi

if [ "$(id -u)" = 0 ]; then
  as_root=""
elif command -v sudo >/dev/null; then
  as_root="sudo"
else
  echo "setup.sh needs root to install:$missing" >&2
  echo "Run it as root, or install sudo." >&2
  exit 2
fi

echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # $as_root may be empty, $missing is a list of words
$as_root apt-get -q update
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends $missing
echo "setup: done"
