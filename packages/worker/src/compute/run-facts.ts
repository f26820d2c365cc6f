// What the engine wants to know of a run: its optimiser's options, that the model is this engine's,
// and what a worker holds beside it. No computing.
import { defined } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import { adapterSpecs } from "@manyhands/engine/adapters/config";
import { splitIds, splitTokens, type TokenSplit } from "@manyhands/engine/data/dataset";
import type { TokenArray } from "@manyhands/engine/data/sampler";
import { type ParameterSpec, parameterSpecs } from "@manyhands/engine/model/config";
import { ADAMW_RECIPE, MUON_RECIPE, type OptimizerOptions } from "@manyhands/engine/train/options";
import type { FrozenRun, Recipe } from "@manyhands/protocol/run-config";

/** A worker's weights, residual, update and what compresses it, each as large as the model. */
const MODEL_COPIES = 5;
/** The worker's code, its connection and its messages, measured. */
const WORKER_BYTES = 30e6;
const FLOAT_BYTES = 4;

/** What the run's shared state is made of: the model's tensors, or the adapters'. */
function sharedSpecs({ model, tuning }: FrozenRun): readonly ParameterSpec[] {
  return tuning?.method === "lora" ? adapterSpecs(model, tuning.adapter) : parameterSpecs(model);
}

/** How many weights train, and travel. */
export function sharedCount({ fragments }: Pick<FrozenRun, "fragments">): number {
  return fragments.reduce((sum, { shape }) => sum + shape.reduce((size, dim) => size * dim, 1), 0);
}

/**
 * Bytes that a worker holds beside trainer, evaluator and base: data, and the run's shared state.
 *
 * @param files the data's
 */
export function heldBytes(
  { dataset, fragments, tokenizer }: FrozenRun,
  files: readonly { readonly length: number }[],
): number {
  const data = files.reduce((sum, file) => sum + file.length, 0);
  const tokens = tokenizer === "bytes" ? data : data / FLOAT_BYTES;
  const validation = (tokens * dataset.validationBps) / 10_000;
  // Several files are joined, and ids are copied: for a moment there are two of each.
  const joined = files.length > 1 || tokenizer === "ids" ? data : 0;
  const floats = validation + MODEL_COPIES * sharedCount({ fragments });
  return WORKER_BYTES + data + joined + FLOAT_BYTES * floats;
}

/** The run's fragments are this engine's parameters, in its order. @throws InputError if not */
export function checkFragments(run: FrozenRun): void {
  const here = sharedSpecs(run).map(({ name, shape }) => `${name} ${shape.join("×")}`);
  const there = run.fragments.map(({ name, shape }) => `${name} ${shape.join("×")}`);
  const index = here.findIndex((spec, i) => spec !== there[i]);
  if (index < 0 && here.length === there.length) return;
  const at = index < 0 ? here.length : index;
  throw new InputError(
    `fragment ${at}: expected ${here[at] ?? "none"}, found ${there[at] ?? "none"}`,
    { hint: "the run was made for another model code: take the coordinator's own worker" },
  );
}

/** The engine's words for a recipe. */
export function optimizerOptions(recipe: Recipe): OptimizerOptions {
  const { learningRate, adamLearningRate, weightDecay, gradientClip } = recipe;
  if (recipe.optimizer === "adamw") {
    const adamw = { ...ADAMW_RECIPE.adamw, learningRate, weightDecay };
    return { gradientNormMax: gradientClip, adamw };
  }
  const muon = defined(MUON_RECIPE.muon, "Muon's recipe has Muon");
  return {
    gradientNormMax: gradientClip,
    adamw: { ...MUON_RECIPE.adamw, learningRate: adamLearningRate },
    muon: { ...muon, learningRate, weightDecay },
  };
}

/** The data as tokens, split. @throws InputError if it is too short, or ids are not the model's */
export function tokensOf(
  { dataset, tokenizer, model, tuning }: FrozenRun,
  files: readonly Uint8Array[],
): TokenSplit<TokenArray> {
  const { validationBps } = dataset;
  if (tokenizer === "bytes") return splitTokens(files, validationBps);
  const split = splitIds(files, validationBps, model.vocabSize);
  const masked =
    tuning?.method !== "lora" && Object.values(split).some((ids) => ids.some((id) => id < 0));
  if (!masked) return split;
  throw new InputError("the data has tokens that are not counted, which only adapters can skip");
}
