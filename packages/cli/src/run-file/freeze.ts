// From a run file and its data to the frozen run: everything that the run's id covers.
// Command line flags may replace a few of the file's choices; the id follows from what was chosen.
import { createHash } from "node:crypto";
import { weightsRoot } from "@manyhands/aggregation/roots";
import { toHex } from "@manyhands/base/bytes";
import type { Sha256 } from "@manyhands/base/hash";
import { parameterSpecs } from "@manyhands/engine/model/config";
import { initialWeights } from "@manyhands/engine/model/initial-weights";
import {
  type FragmentSpec,
  type FrozenRun,
  freezeRun,
  type RunId,
  runIdOf,
} from "@manyhands/protocol/run-config";
import type { LoadedRunFile } from "./load-run-file.ts";
import { type RunFile, roundPolicyOf } from "./run-file.ts";

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
  /** Contents of the dataset's files, in its order. */
  readonly files: readonly Uint8Array[];
  /** Workers to start on this machine. */
  readonly workers: number;
  readonly license: string | null;
  /** Tokens of a step of the data-parallel run that bytes are compared with. */
  readonly dataParallelBatch: number | null;
};

/** The platform's SHA-256, for blobs and weights. */
export const nodeSha256: Sha256 = (bytes) => createHash("sha256").update(bytes).digest();

export function prepareRun(loaded: LoadedRunFile, overrides: RunOverrides = {}): PreparedRun {
  const { file, data } = loaded;
  const seed = overrides.seed ?? file.seed;
  const fragments = parameterSpecs(file.model).map(
    ({ name, shape }): FragmentSpec => ({ name, shape: [...shape], dtype: "f32" }),
  );
  const weights = initialWeights(file.model, seed);
  const run = freezeRun({
    name: file.name,
    model: file.model,
    tokenizer: file.tokenizer,
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
  });
  return {
    run,
    runId: runIdOf(run),
    initialWeights: weights,
    files: data.map(({ bytes }) => bytes),
    workers: overrides.workers ?? file.workers,
    license: file.license,
    dataParallelBatch: file.dataParallelBatch,
  };
}

function policyFor(file: RunFile, workers: number | undefined): FrozenRun["rounds"] {
  const policy = roundPolicyOf(file.rounds);
  if (workers === undefined || workers === 0) return policy;
  return { ...policy, workersMin: Math.min(policy.workersMin, workers) };
}
