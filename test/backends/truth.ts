// The contract's vectors, and its checks as subtests. Not for pages: they fetch.
import { readFileSync } from "node:fs";
import type { TestContext } from "node:test";
import type { Check, Truth } from "@manyhands/engine/runtime/runtime.contract";

function vectorsOf(name: string): unknown {
  const url = new URL(`../../vectors/engine/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8"));
}

export function readTruth(): Truth {
  const names = ["operations", "models", "trainings"];
  return Object.fromEntries(names.map((name) => [name, vectorsOf(name)])) as Truth;
}

/** Compiling a training graph takes the software adapter most of a minute: one of each kind. */
const SOFTWARE_GPU_TRAININGS = [
  "GPT-2, tied: loss and every gradient are PyTorch's",
  "adamw: ten steps lose what PyTorch loses",
  "muon, polar express: ten steps with state on the device lose what PyTorch loses",
  "GPT-2, adamw: ten steps with state on the device lose what PyTorch loses",
  "fine-tuning by LoRA on f16 moves what plain loops move",
  "fine-tuning by LoRA on q4 moves what plain loops move",
  "fine-tuning by LoRA on ternary moves what plain loops move",
  "fine-tuning by dropout and rsLoRA on q4 moves what plain loops move",
  "fine-tuning by DoRA on q4 moves what plain loops move",
];

/** Whether a check runs on WebGPU here: all on a real GPU, not every training in software. */
export function runsOnWebGpu(title: string): boolean {
  if (process.env["MANYHANDS_ADAPTER"] === "native") return true;
  const trains = /ten steps|every gradient|fine-tuning/.test(title);
  return !trains || SOFTWARE_GPU_TRAININGS.includes(title);
}

export async function runChecks(t: TestContext, checks: readonly Check[]): Promise<void> {
  for (const { title, run } of checks) await t.test(title, run);
}
