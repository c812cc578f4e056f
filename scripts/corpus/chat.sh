#!/bin/sh
# Builds instructions and preferences from a corpus of manual pages: chat.sh CORPUS OUTDIR
# CORPUS is what build.sh made. Needs Python's standard library.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=/usr/bin/python3
[ -x "$python" ] || python=python3
exec "$python" "$here/chat.py" "$@"
