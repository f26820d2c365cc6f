// tune: one step of our adapters against the real peft, on checkpoints of every architecture: the
// loss with masked targets, and the gradient of every adapter tensor. Not part of npm test.
//
// Usage: main.ts <python> <models' folder> <work folder>
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { compareText } from "@manyhands/base/bytes";
import { adapterPlaces } from "@manyhands/engine/adapters/config";
import { ModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import { readSafetensors } from "@manyhands/engine/checkpoint/safetensors";
import { architectureOf } from "@manyhands/engine/model/config";
import { readAdapterFolder } from "@manyhands/engine/peft/adapter-folder";
import { quantizeBase } from "@manyhands/engine/quantize/base-model";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { createFineTuner } from "@manyhands/engine/train/fine-tuner";

type Step = {
  readonly model: string;
  readonly tokens: readonly (readonly number[])[];
  readonly targets: readonly (readonly number[])[];
  readonly loss: number;
};

const LOSS_DIFFERENCE_MAX = 1e-5;
/** ‖ours − theirs‖ / ‖theirs‖, of each tensor. */
const GRADIENT_DISTANCE_MAX = 1e-4;

async function main(python: string, models: string, work: string): Promise<void> {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const script = join(import.meta.dirname, "peft_steps.py");
  const run = spawnSync(python, [script, models, work], { encoding: "utf8" });
  if (run.status !== 0) {
    throw new Error(`peft_steps.py: exit ${run.status}\n${run.stderr.slice(-2_000)}`);
  }
  const names = readdirSync(work).sort(compareText);
  let failed = 0;
  for (const name of names) if (!(await checkStep(name, join(work, name)))) failed += 1;
  console.log(`tune: ${names.length} steps of peft, ${failed} failed`);
  process.exitCode = failed === 0 && names.length > 0 ? 0 : 1;
}

async function checkStep(name: string, folder: string): Promise<boolean> {
  const step: Step = JSON.parse(readFileSync(join(folder, "step.json"), "utf8"));
  const files = await ModelFolder.open(step.model);
  const base = await quantizeBase(files, "f32");
  await files.close();
  const { adapter, weights } = await readAdapterFolder(join(folder, "adapter"), base.config);
  const batch = { sequences: step.tokens.length, contextLength: step.tokens[0]?.length ?? 1 };
  const tuner = await createFineTuner({ runtime: ortNode, base, adapter, batch, seed: 1 });
  tuner.weights.set(weights);
  const [tokens, targets] = [step.tokens, step.targets].map((rows) => Int32Array.from(rows.flat()));
  const { loss, gradients } = await tuner.gradients({
    tokens: tokens ?? new Int32Array(),
    targets: targets ?? new Int32Array(),
  });
  const read = readSafetensors(readFileSync(join(folder, "gradients.safetensors")));
  if (!read.ok) throw new Error(read.error.message);
  const theirs = new Map(read.value.tensors.map((tensor) => [tensor.name, tensor.values]));
  let [worst, at, count] = [0, "", 0];
  for (const place of adapterPlaces(base.config, adapter)) {
    const own = gradients.subarray(place.offset, place.offset + place.size);
    const distance = distanceOf(own, theirs.get(place.name));
    count += 1;
    if (!(distance <= worst)) [worst, at] = [distance, place.name];
  }
  await tuner.close();
  const off = Math.abs(loss - step.loss);
  const exact = off <= LOSS_DIFFERENCE_MAX && worst <= GRADIENT_DISTANCE_MAX;
  const ok = exact && count === theirs.size;
  const found = `loss off by ${off.toExponential(1)}, ${count} gradients by ${worst.toExponential(1)}`;
  console.log(`${ok ? "ok  " : "FAIL"} ${name} (${architectureOf(base.config)}): ${found} (${at})`);
  return ok;
}

function distanceOf(ours: Float32Array, theirs: Float32Array | undefined): number {
  if (theirs?.length !== ours.length) return Number.NaN;
  let [difference, size] = [0, 0];
  theirs.forEach((value, i) => {
    difference += (value - (ours[i] ?? Number.NaN)) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(difference / Math.max(size, 1e-30));
}

const [python = "python3", models = "", work = ""] = process.argv.slice(2);
await main(python, models, work);
