#!/bin/sh
# Makes a Japanese speech corpus: speech.sh {ci|MINUTESm|HOURSh} OUTDIR [--refresh]
# Open JTalk's voice reads sentences of real Japanese texts; `ci` is about 12 minutes of speech. Prepare it with
#   hinoki data speech --input OUTDIR/train.tsv --output ...      and OUTDIR/unseen.tsv: other sentences, other voices
# Needs apt, dpkg-deb and Python's standard library; no root, and nothing on the machine is changed.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=/usr/bin/python3
[ -x "$python" ] || python=python3
exec "$python" "$here/speech.py" "$@"
