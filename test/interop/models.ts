// models: checkpoints of every architecture, written by the real transformers, read by us: logits
// and the gradients of all parameters are those that transformers computes from the same files.
// Not part of npm test, which needs no Python.
//
// Usage: models.ts <python> <work folder>
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { compareText } from "@manyhands/base/bytes";
import type { ImportedModel } from "@manyhands/engine/checkpoint/import";
import { ModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import { readSafetensors, type TensorData } from "@manyhands/engine/checkpoint/safetensors";
import { input } from "@manyhands/engine/ir/ops";
import { graphOf } from "@manyhands/engine/ir/tensor";
import { decoderOf } from "@manyhands/engine/model/architectures";
import { architectureOf, parameterPlaces } from "@manyhands/engine/model/config";
import { decoderLogits, weightFeeds, weightTensors } from "@manyhands/engine/model/decoder";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { ADAMW_RECIPE } from "@manyhands/engine/train/options";
import { createTrainer } from "@manyhands/engine/train/trainer";

type Expected = {
  readonly tokens: readonly (readonly number[])[];
  readonly loss: number;
  /** How many tensors have a gradient. */
  readonly gradients: number;
};

/** Greatest difference of a logit; of a gradient, ‖ours − theirs‖ / ‖theirs‖. */
const LOGIT_DIFFERENCE_MAX = 1e-4;
const GRADIENT_DISTANCE_MAX = 1e-4;

let failed = 0;

async function main(python: string, work: string): Promise<void> {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const script = join(import.meta.dirname, "models.py");
  const run = spawnSync(python, [script, work], { encoding: "utf8" });
  if (run.status !== 0)
    throw new Error(`models.py: exit ${run.status}\n${run.stderr.slice(-2_000)}`);
  const names = readdirSync(work).sort(compareText);
  for (const name of names) await checkCase(name, join(work, name));
  console.log(`models: ${names.length} checkpoints, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

async function checkCase(name: string, folder: string): Promise<void> {
  const expected: Expected = JSON.parse(readFileSync(join(folder, "tokens.json"), "utf8"));
  const files = await ModelFolder.open(join(folder, "model"));
  const model = { config: files.config, weights: await files.readWeights() };
  const shards = readdirSync(files.folder).filter((each) => each.endsWith(".safetensors")).length;
  await files.close();
  const logits = await logitDifference(model, expected, join(folder, "logits.f32"));
  const [gradient, worst, count] = await gradientDistance(model, expected, folder);
  const ok =
    logits <= LOGIT_DIFFERENCE_MAX &&
    gradient <= GRADIENT_DISTANCE_MAX &&
    count === expected.gradients;
  if (!ok) failed += 1;
  const what = `${architectureOf(model.config)}, ${files.dtype}, ${shards} file(s)`;
  const found = `logits ${logits.toExponential(1)}, ${count} gradients ${gradient.toExponential(1)}`;
  console.log(`${ok ? "ok  " : "FAIL"} ${name} (${what}): ${found} (${worst})`);
}

async function logitDifference(
  { config, weights }: ImportedModel,
  { tokens }: Expected,
  path: string,
): Promise<number> {
  const time = (tokens[0]?.length ?? 1) - 1;
  const ids = input("ids", [tokens.length, time], "i32");
  const logits = decoderLogits(decoderOf(config), weightTensors(config), ids);
  const executable = await ortNode.compile(graphOf({ logits }));
  const flat = Int32Array.from(tokens.flatMap((row) => row.slice(0, time)));
  const outputs = await executable.run({ ...weightFeeds(config, weights), ids: flat });
  const ours = outputs["logits"] ?? new Float32Array();
  await executable.dispose();
  const bytes = readFileSync(path);
  const theirs = new Float32Array(bytes.buffer.slice(bytes.byteOffset), 0, bytes.length / 4);
  if (theirs.length !== ours.length) return Number.POSITIVE_INFINITY;
  return ours.reduce((most, x, i) => Math.max(most, Math.abs(x - (theirs[i] ?? 0))), 0);
}

/** The greatest distance of a gradient, whose it is, and how many were compared. */
async function gradientDistance(
  { config: model, weights }: ImportedModel,
  { tokens, loss: expectedLoss }: Expected,
  folder: string,
): Promise<readonly [number, string, number]> {
  const batch = { sequences: tokens.length, contextLength: (tokens[0]?.length ?? 1) - 1 };
  const trainer = await createTrainer({ runtime: ortNode, model, optimizer: ADAMW_RECIPE, batch });
  trainer.weights.set(weights);
  const { loss, gradients } = await trainer.gradients(Int32Array.from(tokens.flat()));
  const read = readSafetensors(readFileSync(join(folder, "gradients.safetensors")));
  if (!read.ok) throw new Error(read.error.message);
  const theirs = new Map(read.value.tensors.map((tensor) => [tensor.name, tensor]));
  const compared = parameterPlaces(model).flatMap(({ name, offset, size }) => {
    const tensor = theirs.get(name);
    theirs.delete(name);
    if (!tensor) return [];
    return [{ name, distance: distanceOf(gradients.subarray(offset, offset + size), tensor) }];
  });
  await trainer.dispose();
  const [left] = theirs.keys();
  if (left !== undefined) return [Number.POSITIVE_INFINITY, `${left} is no parameter here`, 0];
  if (Math.abs(loss - expectedLoss) > 1e-4) return [Number.POSITIVE_INFINITY, "the loss", 0];
  compared.sort((a, b) => b.distance - a.distance);
  return [compared[0]?.distance ?? 0, compared[0]?.name ?? "", compared.length];
}

function distanceOf(ours: Float32Array, { name, values }: TensorData): number {
  let [difference, size] = [0, 0];
  const third = values.length / 3;
  for (const [i, x] of ours.entries()) {
    // A key bias in GPT-2 has no gradient but what rounding leaves; here it is exactly 0.
    if (name.endsWith("attn.c_attn.bias") && i >= third && i < 2 * third) continue;
    const y = values[i] ?? 0;
    difference += (x - y) ** 2;
    size += y * y;
  }
  return Math.sqrt(difference / size);
}

await main(process.argv[2] ?? "", process.argv[3] ?? "");
