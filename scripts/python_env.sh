#!/bin/sh
# Makes a Python environment with pinned packages once and prints the interpreter to run: python=$(scripts/python_env.sh NAME)
# Names: the files of scripts/python/. Environments live under $HINOKI_VENVS, by default .venv/ of the repository.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
name=${1:-}
pins=$root/scripts/python/$name.txt
if [ -z "$name" ] || [ ! -f "$pins" ]; then
  echo "usage: scripts/python_env.sh {$(cd "$root/scripts/python" && echo *.txt | sed 's/\.txt//g; s/ /|/g')}" >&2
  exit 2
fi

base=/usr/bin/python3  # Debian's: the one that sees python3-torch, whatever other python3 stands on PATH
venvs=${HINOKI_VENVS:-$root/.venv}
venv=$venvs/$name
toolkit=${CUDA_HOME:-/usr/local/cuda}/lib64
stamp=$(cat "$pins" "$0" | sha256sum | cut -d' ' -f1)-$("$base" -c 'import sys; print(sys.version_info[:2])')
mkdir -p "$venvs"
exec 9>"$venvs/.$name.lock"
flock 9
if [ "$(cat "$venv/stamp" 2>/dev/null || true)" = "$stamp" ] && "$venv/bin/python" -c '' 2>/dev/null; then
  echo "$venv/bin/hinoki-python"
  exit 0
fi

if [ "$name" = models ]; then
  "$base" -c 'import torch' 2>/dev/null || { echo "python3-torch is missing: run scripts/setup.sh --test" >&2; exit 2; }
  site=--system-site-packages
fi
echo "python_env: making $venv" >&2
rm -rf "$venv"
"$base" -m venv ${site:-} "$venv" >&2
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input install --quiet "$@" >&2; }
if [ "$name" = torch ] && [ ! -e "$toolkit/libcublas.so.13" ]; then
  pip "$(grep '^torch==' "$pins")" "$(grep '^numpy==' "$pins")"
else
  pip --no-deps -r "$pins"
fi

# The libraries each one needs to find: for PyTorch 1.13 the OpenBLAS that uses OpenMP, whatever Debian's alternatives say.
libraries=/usr/lib/$(uname -m)-linux-gnu/openblas-openmp
if [ "$name" = torch ]; then
  libraries=$(find "$venv" -path '*/nvidia/*' -name '*.so*' -printf '%h\n' | sort -u | tr '\n' ':')$toolkit
fi
cat > "$venv/bin/hinoki-python" <<END
#!/bin/sh
export LD_LIBRARY_PATH="$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec "$venv/bin/python" "\$@"
END
chmod +x "$venv/bin/hinoki-python"
echo "$stamp" > "$venv/stamp"
echo "$venv/bin/hinoki-python"
