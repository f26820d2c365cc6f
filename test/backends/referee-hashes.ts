// Prints the referee's hashes beside the pinned ones; exit code 1 if one differs. Not a test file:
// arm64.sh runs it on another processor's Node, under emulation.
//
// Usage: node test/backends/referee-hashes.ts
import { readFileSync } from "node:fs";
import { createReferee } from "@manyhands/engine/runtime/referee";
import { REFEREE_RUNS, refereeHash } from "@manyhands/engine/runtime/referee.contract";

const WASM_FILE = "onnxruntime-web/ort-wasm-simd-threaded.wasm";

const referee = createReferee(readFileSync(new URL(import.meta.resolve(WASM_FILE))));
console.log(`${process.version} ${process.arch}`);
for (const run of REFEREE_RUNS) {
  const hash = await refereeHash(referee, run);
  const same = hash === run.weightsHash;
  console.log(`${same ? "equal  " : "DIFFERS"} ${run.name}: ${hash}`);
  if (!same) process.exitCode = 1;
}
