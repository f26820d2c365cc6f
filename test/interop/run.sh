#!/usr/bin/env bash
# interop: what we write and read against the real transformers, tokenizers, safetensors,
# huggingface_hub, peft, gguf and llama.cpp, in a Python environment that this script makes (.cache/interop-venv; kept until the requirements change).
#
#   npm run test:interop                                       everything, with exports that it makes itself
#   npm run test:interop -- runs/<id>/export [data [context]]  this export, on this data
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
venv="$root/.cache/interop-venv"
python="$venv/bin/python"
work="$root/.cache/interop-work"
export PATH="$root/node_modules/.bin:$PATH"
export HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 TOKENIZERS_PARALLELISM=false
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUTF8=1

# The environment is what these files say: another content, another environment.
wanted=$(cat "$here"/requirements*.txt "$here/cpu_torch.py" | sha256sum | cut -d' ' -f1)

make_venv() {
  local system=${PYTHON:-python3}
  "$system" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "interop needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2
    exit 2
  }
  rm -rf "$venv"
  # Debian ships venv without its pip unless python3-venv is there: then the system's pip serves.
  if ! "$system" -m venv "$venv" >/dev/null 2>&1; then
    rm -rf "$venv"
    "$system" -m venv --without-pip "$venv"
    pip=("$system" -m pip --python "$python")
  fi
}

install() {
  pip=("$python" -m pip)
  make_venv
  "${pip[@]}" install -q --no-compile --no-deps -r "$here/requirements-torch.txt" -r "$here/requirements.txt"
  if [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ]; then
    "${pip[@]}" install -q --no-compile --no-deps -r "$here/requirements-cpu-torch.txt"
    "$python" "$here/cpu_torch.py"
  fi
  "$python" -c 'import torch, transformers; torch.linalg.svd(torch.eye(2))'
  echo "$wanted" >"$venv/requirements.sha256"
}

if [ "$(cat "$venv/requirements.sha256" 2>/dev/null)" != "$wanted" ]; then
  echo "interop: making the Python environment (about a minute, 0.8 GB to download)"
  started=$SECONDS
  install
  echo "interop: environment ready after $((SECONDS - started)) s"
fi

# The real llama.cpp, by its npm binding: a folder of its own, so that the project's npm install never fetches it.
llama=""
if [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ]; then
  llama="$root/.cache/interop-llama"
  pinned=$(sha256sum <"$here/out/llama/package-lock.json" | cut -d' ' -f1)
  if [ "$(cat "$llama/lock.sha256" 2>/dev/null)" != "$pinned" ]; then
    echo "interop: installing llama.cpp (node-llama-cpp, 80 MB)"
    rm -rf "$llama" && mkdir -p "$llama"
    cp "$here/out/llama/package.json" "$here/out/llama/package-lock.json" "$llama"
    # Not npm ci: it wants every platform of an optional package in the lock file.
    npm install --prefix "$llama" --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error
    echo "$pinned" >"$llama/lock.sha256"
  fi
fi

rm -rf "$work"
mkdir -p "$work"
failed=0
node "$here/main.ts" "$python" "$work" "$@" || failed=1
if [ $# = 0 ]; then
  node "$here/models.ts" "$python" "$work/models" || failed=1
  node "$here/text.ts" "$python" "$work/text" || failed=1
  node "$here/finetune.ts" "$python" "$work/finetune" || failed=1
  node "$here/tune/main.ts" "$python" "$work/models" "$work/tune" || failed=1
  node "$here/hub.ts" "$python" "$work/hub" "$work/models/Llama 2/model" || failed=1
  node "$here/out/main.ts" "$python" "$work/out" ${llama:+"$llama"} || failed=1
fi
exit $failed
