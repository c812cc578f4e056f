#!/bin/sh
# Builds instructions and preferences from manual pages and dictionaries: chat.sh CORPUS OUTDIR [WORDS]
# CORPUS is what build.sh made, WORDS what words.sh made. Needs Python's standard library.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=/usr/bin/python3
[ -x "$python" ] || python=python3
exec "$python" "$here/chat.py" "$@"
