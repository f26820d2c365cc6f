#!/usr/bin/env bash
# The contract of runtimes on the backends that `npm test` leaves out: Node's WebGPU, and a headless
# Chromium with WASM (one thread, several) and WebGPU. Takes minutes: software draws the GPU.
#
# Usage: npm run test:backends [-- file …]
# Needs: Debian's chromium, which also brings the software adapter (SwiftShader) that Node uses.
#        A machine with a real GPU: MANYHANDS_ADAPTER=native npm run test:backends
set -euo pipefail
cd "$(dirname "$0")/../.."

chromium_folder=/usr/lib/chromium
if [ "${MANYHANDS_ADAPTER:-software}" = software ]; then
  if [ ! -f "$chromium_folder/vk_swiftshader_icd.json" ]; then
    echo "There is no $chromium_folder/vk_swiftshader_icd.json: apt-get install chromium" >&2
    exit 1
  fi
  export VK_ICD_FILENAMES="$chromium_folder/vk_swiftshader_icd.json"
  # Debian's Node has no Vulkan loader of its own; Chromium's serves.
  export LD_LIBRARY_PATH="$chromium_folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi

files=("$@")
if [ "${#files[@]}" -eq 0 ]; then files=(test/backends/*.test.ts); fi
exec node_modules/.bin/node --test --test-concurrency=1 --test-reporter=spec "${files[@]}"
