#!/usr/bin/env bash
# What a build of Hinoki needs on a machine without a network, such as a GPU node: libraries and tools of Debian 12 in a
# folder, unpacked beside the system and not into it. The machine itself must have g++ 12 or newer, the CUDA toolkit,
# and glibc 2.36 or newer (Debian 12, Ubuntu 24.04, ...).
#   scripts/offline_bundle.sh collect [FOLDER]          on a connected Debian 12: downloads the packages (under 50 MiB)
#   scripts/offline_bundle.sh unpack [FOLDER [PLACE]]   there, without a network or root, in PLACE (FOLDER unless named), and
#                                                       writes PLACE/env.sh to be sourced
# FOLDER is .bundle unless named; git ignores that one. What is unpacked works in the place where it was unpacked.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted="libhdf5-dev libsentencepiece-dev libxxhash-dev libzstd-dev zlib1g-dev libicu-dev
  libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libsndfile1-dev libsoxr-dev libgtest-dev googletest
  pkgconf pkgconf-bin ninja-build cmake patchelf"
# Of what those depend on: the system's own (the C and C++ libraries above all, which must be one with its compiler), and
# parts of HDF5, of the sound libraries and of others that are not used.
unwanted='libc6.*|libc-dev-bin|linux-libc-dev|libcrypt.*|libgcc-s1|libstdc\+\+6|gcc-.*|.*perl.*|dpkg|tar|procps|usr.*'
unwanted+='|init-.*|lib(elogind0|systemd0|selinux1|cap2|acl1|proc2.*|ncursesw6|tinfo6|db5.3|gdbm.*|md0|pcre2.*)'
unwanted+='|libcurl.*-dev|libcurl3.*|libssl-dev|libnss3|libnspr4|libsqlite3.*|nss-.*|libtirpc.*|libnsl.*|rpcsvc-proto'
unwanted+='|libout123-0|libsyn123-0|libsoxr-lsr0'
unwanted+='|libgfortran5|libquadmath0|libhdf5.*fortran.*|libhdf5-cpp.*|libhdf5-hl-cpp.*|icu-devtools|libjpeg.*|libaec-dev'
limit=$((50 << 20))

die() {
  echo "offline_bundle.sh: $*" >&2
  exit 2
}

collect() {
  command -v apt-get >/dev/null || die "collects Debian's packages, and there is no apt-get here"
  grep -q '^VERSION_ID="12"' /etc/os-release || die "collects on Debian 12 only: others have other versions"
  local packages
  # shellcheck disable=SC2086  # a list of words
  packages=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances $wanted | grep '^[a-z]' | sort -u | grep -Evx "$unwanted")
  mkdir -p "$folder/packages"
  rm -f "$folder"/packages/*.deb
  # shellcheck disable=SC2086
  (cd "$folder/packages" && apt-get -q download $packages >/dev/null)
  local bytes
  bytes=$(cat "$folder"/packages/*.deb | wc -c)
  [ "$bytes" -le $limit ] || die "$bytes bytes of packages are more than $limit"
  (cd "$folder/packages" && sha256sum ./*.deb >SHA256SUMS)
  echo "$(find "$folder/packages" -name '*.deb' | wc -l) packages, $((bytes >> 20)) MiB, in $folder/packages"
}

# A package without dpkg: an ar archive that holds data.tar.xz (or .zst).
extract() {
  if command -v dpkg-deb >/dev/null; then
    dpkg-deb --extract "$1" "$2"
  else
    local data
    data=$(ar t "$1" | grep '^data\.tar')
    case $data in
      *.xz) ar p "$1" "$data" | tar -xJ -C "$2" ;;
      *.zst) ar p "$1" "$data" | tar --zstd -x -C "$2" ;;
      *) ar p "$1" "$data" | tar -xz -C "$2" ;;
    esac
  fi
}

unpack() {
  [ -e "$folder/packages/SHA256SUMS" ] || die "$folder/packages holds nothing: collect it on a connected machine"
  (cd "$folder/packages" && sha256sum --quiet --check SHA256SUMS) || die "$folder/packages is damaged"
  local package root libraries
  rm -rf "$place/root" "$place/env.sh"
  mkdir -p "$place/root"
  root=$(cd "$place/root" && pwd)
  for package in "$folder"/packages/*.deb; do extract "$package" "$root"; done
  libraries=$root/usr/lib/x86_64-linux-gnu
  # Absolute links inside packages lead out of the folder.
  find "$root" -type l -lname '/*' | while read -r link; do
    ln -sfn "$root$(readlink "$link")" "$link"
  done
  # Some libraries are in /lib: one folder for all.
  if [ -d "$root/lib/x86_64-linux-gnu" ]; then cp -an "$root"/lib/x86_64-linux-gnu/. "$libraries/"; fi
  # The tools run on their own libraries, by a run path: a variable would reach the compilers that they start. It is an
  # old-style one, for it holds for the libraries of libraries too.
  mkdir -p "$place/bin"
  local tool
  for tool in cmake ctest ninja pkgconf; do
    "$root/usr/bin/patchelf" --force-rpath --set-rpath "$libraries" "$root/usr/bin/$tool"
    printf '#!/bin/sh\nexec "%s/usr/bin/%s" "$@"\n' "$root" "$tool" >"$place/bin/$tool"
    chmod +x "$place/bin/$tool"
  done
  ln -sf pkgconf "$place/bin/pkg-config"
  cat >"$place/env.sh.new" <<END
# Written by scripts/offline_bundle.sh: source it before cmake.
export PATH="$(cd "$place/bin" && pwd):\$PATH"
export PKG_CONFIG_SYSROOT_DIR="$root" PKG_CONFIG_LIBDIR="$libraries/pkgconfig:$root/usr/share/pkgconfig"
# Not CPATH: these are system headers, whose warnings nobody here can mend.
export C_INCLUDE_PATH="$root/usr/include:$root/usr/include/x86_64-linux-gnu:$root/usr/include/hdf5/serial"
export CPLUS_INCLUDE_PATH="\$C_INCLUDE_PATH"
export CMAKE_PREFIX_PATH="$root/usr" CMAKE_LIBRARY_PATH="$libraries:$libraries/hdf5/serial"
export CMAKE_INCLUDE_PATH="$root/usr/include:$root/usr/include/hdf5/serial"
# The same run path for what is built.
export LDFLAGS="-L$libraries -Wl,--disable-new-dtags,-rpath,$libraries,-rpath-link,$libraries"
END
  mv "$place/env.sh.new" "$place/env.sh"  # last: where it is, all is
  echo "unpacked in $root; source $place/env.sh before cmake"
}

folder=${2:-.bundle}
place=${3:-$folder}
case $#:${1:-} in
  [12]:collect) collect ;;
  [123]:unpack) unpack ;;
  *) die "usage: scripts/offline_bundle.sh collect [FOLDER] | unpack [FOLDER [PLACE]]" ;;
esac
