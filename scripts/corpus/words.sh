#!/bin/sh
# Fetches words and sentences to ask about from Debian packages: words.sh OUTDIR [--refresh]
# Needs apt, dpkg-deb and Python's standard library; no root, and nothing on the machine is changed.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=/usr/bin/python3
[ -x "$python" ] || python=python3
exec "$python" "$here/words.py" "$@"
