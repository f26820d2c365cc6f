// The contract on the backends that every machine has. The others: test/backends.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { RULES } from "../autodiff/rules.ts";
import { residentBytes } from "../testing/resident-bytes.ts";
import { readVectors } from "../vectors.ts";
import { withHostState } from "./host-state.ts";
import { ortNode } from "./ort-node.ts";
import { ortWebWasm } from "./ort-web-wasm.ts";
import { reference } from "./reference.ts";
import { contractOf, type Subject, type Truth } from "./runtime.contract.ts";

const TRUTH: Truth = {
  operations: readVectors("operations"),
  models: readVectors("models"),
  trainings: readVectors("trainings"),
};

const WASM_FILE = new URL(import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"));

type Memory = { readonly buffer: ArrayBufferLike };
type Wasm = { Memory: new (descriptor: object) => Memory };

/** The heaps of all WebAssembly in this process that are made after this call. */
function countHeaps(): () => number {
  const memories: Memory[] = [];
  const wasm = Reflect.get(globalThis, "WebAssembly") as Wasm;
  wasm.Memory = class extends wasm.Memory {
    constructor(descriptor: object) {
      super(descriptor);
      memories.push(this);
    }
  };
  return () => memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
}

const heldBytes = countHeaps();
const wasm = ortWebWasm({ files: readFileSync(WASM_FILE) });

const SUBJECTS: Readonly<Record<string, Subject>> = {
  reference: { runtime: withHostState(reference) },
  "Node, CPU": { runtime: withHostState(ortNode), residentBytes },
  "Node, WASM": { runtime: withHostState(wasm), heldBytes },
};

/** Of the trainings one of each shape and optimiser; `npm run test:backends` runs all of them. */
const QUICK = [
  "adamw: ten steps lose what PyTorch loses",
  "GPT-2, adamw: ten steps with state on the device lose what PyTorch loses",
  "muon, polar express: ten steps with state on the device lose what PyTorch loses",
  "GPT-2, muon, polar express: ten steps lose what PyTorch loses",
];

/** What takes plain loops seconds. */
const SLOW = /muon|on the device lose|fine-tuning/;

for (const [name, subject] of Object.entries(SUBJECTS)) {
  test(`${name} keeps the contract of runtimes`, async (t) => {
    const checks = contractOf(subject, TRUTH);
    for (const { title, run } of checks) {
      const isTraining = title.includes("ten steps");
      if (isTraining && !QUICK.includes(title)) continue;
      if (name === "reference" && SLOW.test(title)) continue;
      await t.test(title, run);
    }
    const known = new Set(checks.map(({ title }) => title));
    assert.deepEqual(
      QUICK.filter((title) => !known.has(title)),
      [],
      "the chosen trainings exist",
    );
  });
}

test("the heap of WASM is counted", () => {
  assert(heldBytes() > 0);
});

test("the vectors cover every operation that a graph can hold", () => {
  const covered = new Set(TRUTH.operations.cases.map((entry) => entry.op));
  // Inputs and constants are in every case; custom gradients are those of silu, gelu,
  // attention, crossEntropy. Packed matrices have checks of their own: packed.contract.ts.
  const implied = ["input", "constant", "custom", "dequantize"];
  const kinds = Object.keys(RULES).filter((kind) => !implied.includes(kind));
  assert.deepEqual(
    [...kinds, "silu", "gelu", "attention", "crossEntropy"].filter((kind) => !covered.has(kind)),
    [],
  );
});
