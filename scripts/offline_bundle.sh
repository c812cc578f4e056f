#!/usr/bin/env bash
# What a build of Hinoki needs on a machine without a network, such as a GPU node: libraries and tools of Debian 12 in a
# folder, unpacked beside the system and not into it. The machine itself must have g++ 12 or newer, the CUDA toolkit,
# and glibc 2.36 or newer (Debian 12, Ubuntu 24.04, ...).
#   scripts/offline_bundle.sh collect [FOLDER]    on a connected Debian 12: downloads the packages (under 50 MiB)
#   scripts/offline_bundle.sh unpack [FOLDER]     there, without a network or root; writes FOLDER/env.sh to be sourced
# FOLDER is .bundle unless named; git ignores that one.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted="libhdf5-dev libsentencepiece-dev libxxhash-dev libzstd-dev zlib1g-dev libicu-dev libutf8proc-dev libfmt-dev
  libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libsndfile1-dev libsoxr-dev libgtest-dev googletest
  pkgconf pkgconf-bin ninja-build cmake"
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
  rm -rf "$folder/root"
  mkdir -p "$folder/root"
  for package in "$folder"/packages/*.deb; do extract "$package" "$folder/root"; done
  local root libraries
  root=$(cd "$folder/root" && pwd)
  libraries=$root/usr/lib/x86_64-linux-gnu
  # Absolute links inside packages lead out of the folder.
  find "$root" -type l -lname '/*' | while read -r link; do
    ln -sfn "$root$(readlink "$link")" "$link"
  done
  # Some libraries are in /lib: one folder for all.
  if [ -d "$root/lib/x86_64-linux-gnu" ]; then cp -an "$root"/lib/x86_64-linux-gnu/. "$libraries/"; fi
  # The tools run on their own libraries; nothing else does, so the system's programs keep theirs.
  mkdir -p "$folder/bin"
  local tool
  for tool in cmake ctest ninja pkgconf; do
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s/usr/bin/%s "$@"\n' "$libraries" "$root" "$tool" >"$folder/bin/$tool"
    chmod +x "$folder/bin/$tool"
  done
  ln -sf pkgconf "$folder/bin/pkg-config"
  cat >"$folder/env.sh" <<END
# Written by scripts/offline_bundle.sh: source it before cmake.
export PATH="$(cd "$folder/bin" && pwd):\$PATH"
export PKG_CONFIG_SYSROOT_DIR="$root" PKG_CONFIG_LIBDIR="$libraries/pkgconfig:$root/usr/share/pkgconfig"
# Not CPATH: these are system headers, whose warnings nobody here can mend.
export C_INCLUDE_PATH="$root/usr/include:$root/usr/include/x86_64-linux-gnu:$root/usr/include/hdf5/serial"
export CPLUS_INCLUDE_PATH="\$C_INCLUDE_PATH"
export CMAKE_PREFIX_PATH="$root/usr" CMAKE_LIBRARY_PATH="$libraries:$libraries/hdf5/serial"
export CMAKE_INCLUDE_PATH="$root/usr/include:$root/usr/include/hdf5/serial"
# An old-style run path, for it holds for the libraries of libraries too.
export LDFLAGS="-L$libraries -Wl,--disable-new-dtags,-rpath,$libraries,-rpath-link,$libraries"
END
  echo "unpacked in $folder/root; source $folder/env.sh before cmake"
}

[ $# -ge 1 ] && [ $# -le 2 ] || die "usage: scripts/offline_bundle.sh collect|unpack [FOLDER]"
folder=${2:-.bundle}
case $1 in
  collect | unpack) "$1" ;;
  *) die "usage: scripts/offline_bundle.sh collect|unpack [FOLDER]" ;;
esac
