// The contract of fine-tuning: the same LoRA steps over every kind of base, on any backend, against
// plain loops. It deliberately knows no test runner: checks run in Node and in a page.
import { assert } from "@manyhands/base/assert";
import { Random } from "@manyhands/base/random";
import type { AdapterConfig } from "../adapters/config.ts";
import type { ModelConfig } from "../model/config.ts";
import { initialWeights } from "../model/initial-weights.ts";
import { flatSource, quantizeBase } from "../quantize/base-model.ts";
import type { BaseKind } from "../quantize/kinds.ts";
import { createFineTuner } from "../train/fine-tuner.ts";
import { TUNE_DEFAULTS, type TuneBatch } from "../train/tuner.ts";
import { relativeDistance } from "../vectors.ts";
import { reference } from "./reference.ts";
import type { Runtime } from "./runtime.ts";

const MODEL: ModelConfig = {
  vocabSize: 40,
  hiddenSize: 32,
  intermediateSize: 64,
  numHiddenLayers: 2,
  numAttentionHeads: 2,
  numKeyValueHeads: 1,
  maxPositionEmbeddings: 8,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: true,
};
const BATCH = { sequences: 2, contextLength: 4 };
const STEPS = 2;
const LORA: AdapterConfig = { r: 2, loraAlpha: 4, targetModules: "all-linear" };

type Tuning = { readonly name: string; readonly kind: BaseKind; readonly adapter: AdapterConfig };

const TUNINGS: readonly Tuning[] = [
  { name: "LoRA", kind: "f32", adapter: LORA },
  { name: "LoRA", kind: "f16", adapter: LORA },
  { name: "LoRA", kind: "q8", adapter: LORA },
  { name: "LoRA", kind: "q4", adapter: LORA },
  { name: "LoRA", kind: "nf4", adapter: LORA },
  { name: "LoRA", kind: "ternary", adapter: LORA },
  {
    name: "dropout and rsLoRA",
    kind: "q4",
    adapter: { ...LORA, loraDropout: 0.5, useRslora: true },
  },
  {
    name: "DoRA",
    kind: "q4",
    adapter: { ...LORA, useDora: true, targetModules: ["q_proj", "down_proj"] },
  },
];

type Subject = {
  readonly runtime: Runtime;
  readonly slack?: number;
  /** Bytes that the backend holds now, where they can be counted exactly. */
  readonly heldBytes?: () => number;
};
type TuneCheck = { readonly title: string; readonly run: (subject: Subject) => Promise<void> };

/** Two steps of two micro-batches each, with half of the tokens counted. */
const STEP_CHECKS: readonly TuneCheck[] = TUNINGS.map((tuning) => ({
  title: `fine-tuning by ${tuning.name} on ${tuning.kind} moves what plain loops move`,
  run: async ({ runtime, slack = 1 }) => {
    const [mine, theirs] = [await tuned(runtime, tuning), await expectedOf(tuning)];
    for (const [step, expected] of theirs.losses.entries()) {
      const off = Math.abs((mine.losses[step] ?? 0) - expected);
      assert(off <= 1e-5 * slack * expected, `the loss of step ${step} is off by ${off}`);
    }
    const distance = relativeDistance(mine.weights, theirs.weights);
    assert(distance < 1e-4 * slack, `the adapters are off by ${distance}`);
  },
}));

const CYCLES_TO_SETTLE = 2;
const CYCLES = 6;
/** A tuner's own arrays are a memory of their own, which garbage collection gives back. */
const OWN_MEMORY_BYTES = 10 * 65_536;

/** Tuners that come and go leave nothing behind. */
async function checkMemory({ runtime, heldBytes }: Subject): Promise<void> {
  if (heldBytes === undefined) return;
  const tuning = { name: "", kind: "q4", adapter: LORA } as const;
  for (let i = 0; i < CYCLES_TO_SETTLE; i++) await tuned(runtime, tuning);
  const before = heldBytes();
  for (let i = 0; i < CYCLES; i++) await tuned(runtime, tuning);
  const kept = heldBytes() - before;
  assert(kept <= CYCLES * OWN_MEMORY_BYTES, `${CYCLES} closed tuners keep ${kept} bytes`);
}

export const TUNE_CHECKS: readonly TuneCheck[] = [
  ...STEP_CHECKS,
  { title: "the memory of fine-tuning comes back", run: checkMemory },
];

/** Plain loops are slow: each tuning's result is made once for all backends. */
const known = new Map<Tuning, Promise<Result>>();

function expectedOf(tuning: Tuning): Promise<Result> {
  const result = known.get(tuning) ?? tuned(reference, tuning);
  known.set(tuning, result);
  return result;
}

type Result = { readonly losses: readonly number[]; readonly weights: Float32Array };

async function tuned(runtime: Runtime, { kind, adapter }: Tuning): Promise<Result> {
  const random = new Random(2);
  const weights = initialWeights(MODEL, 1).map((w) => w + 0.2 * (random.unit() - 0.5));
  const base = await quantizeBase(flatSource(MODEL, weights), kind);
  // A large ε: gradients near zero, whose last bits differ, then hardly move anything.
  const optimizer = { ...TUNE_DEFAULTS, eps: 1e-4 };
  const tuner = await createFineTuner({ runtime, base, adapter, batch: BATCH, seed: 7, optimizer });
  for (let i = 0; i < tuner.weights.length; i++) {
    tuner.weights[i] = (tuner.weights[i] ?? 0) + 0.1 * (random.unit() - 0.5);
  }
  const losses: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    const batches = [someBatch(random), someBatch(random)];
    losses.push((await tuner.step(batches, { learningRate: 0.01 })).loss);
  }
  const { loss } = await tuner.evaluate(someBatch(random));
  const result = { losses: [...losses, loss], weights: tuner.weights.slice() };
  await tuner.close();
  return result;
}

function someBatch(random: Random): TuneBatch {
  const size = BATCH.sequences * BATCH.contextLength;
  const ids = (): Int32Array => Int32Array.from({ length: size }, () => random.below(40));
  const targets = ids().map((id, place) => (place % 2 === 0 ? id : -1));
  return { tokens: ids(), targets };
}
