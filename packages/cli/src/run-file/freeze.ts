// From a run file and its data to the frozen run: everything that the run's id covers.
// Command line flags may replace a few of the file's choices; the id follows from what was chosen.
import { createHash } from "node:crypto";
import { weightsRoot } from "@manyhands/aggregation/roots";
import { toHex } from "@manyhands/base/bytes";
import type { Sha256 } from "@manyhands/base/hash";
import { adapterSpecs } from "@manyhands/engine/adapters/config";
import { initialAdapters } from "@manyhands/engine/adapters/initial-adapters";
import { type ParameterSpec, parameterSpecs } from "@manyhands/engine/model/config";
import { initialWeights } from "@manyhands/engine/model/initial-weights";
import type { Model } from "@manyhands/protocol/model-config";
import {
  type FragmentSpec,
  type FrozenRun,
  freezeRun,
  type RunId,
  runIdOf,
} from "@manyhands/protocol/run-config";
import type { LoadedRunFile } from "./load-run-file.ts";
import { payOf, type RunFile, roundPolicyOf } from "./run-file.ts";
import type { TunedModel } from "./tuned-model.ts";

/** What flags may replace. */
export type RunOverrides = {
  readonly tokens?: number | undefined;
  readonly minutes?: number | undefined;
  readonly seed?: number | undefined;
  /** Local workers: a first round must not wait for more than there will be. */
  readonly workers?: number | undefined;
};

export type PreparedRun = {
  readonly run: FrozenRun;
  readonly runId: RunId;
  readonly initialWeights: Float32Array;
  /** Contents of the blobs that the run names, in the order of the protocol's namedBlobsOf. */
  readonly files: readonly Uint8Array[];
  /** What is trained on, if the run does not begin from nothing. */
  readonly tuned: TunedModel | null;
  /** Workers to start on this machine. */
  readonly workers: number;
  readonly license: string | null;
  /** Tokens of a step of the data-parallel run that bytes are compared with. */
  readonly dataParallelBatch: number | null;
};

/** The platform's SHA-256, for blobs and weights. */
export const nodeSha256: Sha256 = (bytes) => createHash("sha256").update(bytes).digest();

export function prepareRun(loaded: LoadedRunFile, overrides: RunOverrides = {}): PreparedRun {
  const { file, data, model, tokenizer, tuned } = loaded;
  const seed = overrides.seed ?? file.seed;
  const pay = payOf(file);
  const { specs, weights } = startOf(model, tuned, seed);
  const fragments = specs.map(
    ({ name, shape }): FragmentSpec => ({ name, shape: [...shape], dtype: "f32" }),
  );
  const run = freezeRun({
    name: file.name,
    model,
    tokenizer,
    dataset: {
      files: data.map(({ name, byteLength, root }) => ({ name, byteLength, root })),
      validationBps: file.data.validation,
    },
    recipe: file.recipe,
    rounds: policyFor(file, overrides.workers),
    budget: {
      tokens: overrides.tokens ?? file.budget.tokens,
      minutes: overrides.minutes ?? file.budget.minutes,
    },
    seed,
    fragments,
    initialWeightsRoot: toHex(weightsRoot(fragments, weights, nodeSha256)),
    ...(tuned ? { tuning: tuned.tuning } : {}),
    ...(pay ? { pay } : {}),
  });
  return {
    run,
    runId: runIdOf(run),
    initialWeights: weights,
    files: filesOf(data, tuned),
    tuned,
    workers: overrides.workers ?? file.workers,
    license: file.license,
    dataParallelBatch: file.dataParallelBatch,
  };
}

function filesOf(data: LoadedRunFile["data"], tuned: TunedModel | null): readonly Uint8Array[] {
  const files = data.map(({ bytes }) => bytes);
  if (!tuned) return files;
  return [...files, ...(tuned.base ? [tuned.base.bytes] : []), tuned.smallFiles];
}

/** What trains, and where it begins. */
function startOf(
  model: Model,
  tuned: TunedModel | null,
  seed: number,
): { readonly specs: readonly ParameterSpec[]; readonly weights: Float32Array } {
  if (tuned?.tuning.method === "lora" && tuned.base) {
    const { adapter } = tuned.tuning;
    const weights = initialAdapters(tuned.base.model, adapter, seed);
    return { specs: adapterSpecs(model, adapter), weights };
  }
  return { specs: parameterSpecs(model), weights: tuned?.weights ?? initialWeights(model, seed) };
}

function policyFor(file: RunFile, workers: number | undefined): FrozenRun["rounds"] {
  const policy = roundPolicyOf(file.rounds);
  if (workers === undefined || workers === 0) return policy;
  return { ...policy, workersMin: Math.min(policy.workersMin, workers) };
}
