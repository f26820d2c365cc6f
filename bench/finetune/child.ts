// One way of fine-tuning in a process of its own: its peak memory, and its time per step. Packed
// bases come from the cache that a process before has filled, as in every run but the first.
// It deliberately does nothing else, so that the peak is the trainer's.
// Usage: node bench/finetune/child.ts '<JSON of ChildOptions>'   prints one line of JSON
import { ModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import { parameterCount, parameterPlaces } from "@manyhands/engine/model/config";
import { openBase } from "@manyhands/engine/quantize/base-cache";
import type { BaseKind } from "@manyhands/engine/quantize/kinds";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { createFineTuner } from "@manyhands/engine/train/fine-tuner";
import { createFullTuner } from "@manyhands/engine/train/full-tuner";
import type { Tuner } from "@manyhands/engine/train/tuner";

export type ChildOptions = {
  /** The model's folder, and where packed bases are kept. */
  readonly model: string;
  readonly cacheFolder: string;
  /** "pack" only fills the cache. */
  readonly run: "full" | "full, recomputed" | BaseKind | "pack";
  /** What "pack" packs. */
  readonly kind?: BaseKind;
  readonly contextLength: number;
  readonly rank: number;
  readonly steps: number;
};

export type ChildResult = {
  readonly peakBytes: number;
  /** Of the process' processor time and of the wall clock: medians without the first step. */
  readonly cpuMs: number;
  readonly wallMs: number;
  readonly loss: number;
  /** The base as stored, and ‖W − Ŵ‖ / ‖W‖ of it; 0 where nothing is frozen. */
  readonly baseBytes: number;
  readonly error: number;
  /** Until the first step could begin. */
  readonly readyMs: number;
};

type Opened = {
  readonly tuner: Tuner | undefined;
  readonly baseBytes: number;
  readonly error: number;
};

async function open(options: ChildOptions): Promise<Opened> {
  const files = await ModelFolder.open(options.model);
  try {
    const batch = { sequences: 1, contextLength: options.contextLength };
    if (options.run === "full" || options.run === "full, recomputed") {
      const recomputation = options.run === "full" ? "none" : "blocks";
      // No page of these zeros is ever the process' own: the weights are read into the tuner.
      const weights = new Float32Array(parameterCount(files.config));
      const shared = { runtime: ortNode, model: files.config, weights, batch } as const;
      const tuner = await createFullTuner({ ...shared, recomputation });
      for (const place of parameterPlaces(files.config)) {
        const own = tuner.weights.subarray(place.offset, place.offset + place.size);
        await files.readParameter(place, own);
      }
      return { tuner, baseBytes: 0, error: 0 };
    }
    const kind = options.run === "pack" ? (options.kind ?? "q4") : options.run;
    const { base } = await openBase(files, kind, { cacheFolder: options.cacheFolder });
    const facts = { baseBytes: base.bytes, error: base.report.relativeError };
    if (options.run === "pack") return { tuner: undefined, ...facts };
    const adapter = {
      r: options.rank,
      loraAlpha: 2 * options.rank,
      targetModules: "all-linear",
    } as const;
    const tuner = await createFineTuner({ runtime: ortNode, base, adapter, batch, seed: 1 });
    return { tuner, ...facts };
  } finally {
    await files.close();
  }
}

async function main(options: ChildOptions): Promise<ChildResult> {
  const begun = process.hrtime.bigint();
  const { tuner, ...facts } = await open(options);
  const readyMs = Number(process.hrtime.bigint() - begun) / 1e6;
  const size = options.contextLength;
  const vocabulary = Math.min(tuner ? vocabularyOf(tuner) : 1, 10_000);
  const ids = Int32Array.from({ length: size + 1 }, (_, i) => (i * 7919) % vocabulary);
  const batch = { tokens: ids.slice(0, size), targets: ids.slice(1) };
  const [cpu, wall]: [number[], number[]] = [[], []];
  let loss = Number.NaN;
  for (let step = 0; tuner && step < options.steps; step++) {
    const [before, start] = [process.cpuUsage(), process.hrtime.bigint()];
    loss = (await tuner.step(batch, { learningRate: 1e-5 })).loss;
    const { user, system } = process.cpuUsage(before);
    cpu.push((user + system) / 1000);
    wall.push(Number(process.hrtime.bigint() - start) / 1e6);
  }
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  const times = { cpuMs: median(cpu.slice(1)), wallMs: median(wall.slice(1)) };
  return { peakBytes, ...times, loss, ...facts, readyMs };
}

function vocabularyOf({ model }: Tuner): number {
  return model.vocabSize;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

console.log(JSON.stringify(await main(JSON.parse(process.argv[2] ?? "{}"))));
process.exit(0);
