// What the worker's host needs from its surroundings. Node, a browser and the simulator each bring
// their own. Interfaces only.
import type { Json } from "@manyhands/base/canonical";
import type { Sha256 } from "@manyhands/base/hash";
import type { TextSocket, TextSocketEvents, Timers } from "@manyhands/net/text-socket";
import type { Numerics } from "@manyhands/protocol/events";
import type { FrozenRun } from "@manyhands/protocol/run-config";

export type TrainRequest = {
  /** Weights to start from, flat; read only. */
  readonly base: Float32Array;
  readonly firstSample: number;
  readonly innerSteps: number;
  /** Share of the peak learning rate for inner step 0 … innerSteps − 1. */
  readonly scale: (innerStep: number) => number;
  /** Aborted: stop after the current inner step, and report what was done. */
  readonly signal: AbortSignal;
  readonly onStep: (step: TrainStep) => void;
};

/** After an inner step. */
export type TrainStep = {
  /** Inner steps done. */
  readonly innerStep: number;
  /** Nats per token. */
  readonly loss: number;
  readonly micros: number;
};

export type TrainReport = {
  readonly innerSteps: number;
  /** θ_base − θ_local, owned by the caller. */
  readonly pseudoGradient: Float32Array;
  /** Mean over the inner steps, nats per token. */
  readonly meanLoss: number;
  /** Mean wall time of an inner step. */
  readonly innerStepMicros: number;
};

/** What the optimiser carries from round to round, as a header and arrays. */
export type OptimizerArrays = {
  readonly step: number;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
};

export interface ComputePort {
  readonly numerics: Numerics;
  /**
   * Builds what training needs. Throws an error with a sentence if this device cannot.
   *
   * @param files as the protocol's blobsOf has them: the data's, then the base file if there is one
   */
  prepare(run: FrozenRun, files: readonly Uint8Array[]): Promise<void>;
  /** The run's first weights if this device can compute them; they are checked by root. */
  initialWeights(run: FrozenRun): Float32Array | null;
  evaluate(
    weights: Float32Array,
    windows: readonly number[],
  ): Promise<{ readonly loss: number; readonly tokens: number }>;
  /** Throws when the loss or the gradient is not a number. */
  train(request: TrainRequest): Promise<TrainReport>;
  resetOptimizer(): void;
  optimizer(): OptimizerArrays | null;
  /** @returns false if the state does not belong to this model and recipe */
  loadOptimizer(state: OptimizerArrays): boolean;
  dispose(): Promise<void>;
}

/** Which part of the cache a blob belongs to; "none" is fetched anew. */
export type BlobUse = "data" | "checkpoint" | "none";

export interface ApiPort {
  setSession(token: string | null): void;
  /** Verified bytes of a blob. */
  blob(wanted: BlobWanted, signal: AbortSignal): Promise<Uint8Array>;
  put(root: string, bytes: Uint8Array, signal: AbortSignal): Promise<void>;
  /** The answer to `GET …/rounds?from=`, not yet decoded. */
  rounds(from: number, signal: AbortSignal): Promise<unknown>;
}
export type BlobWanted = {
  readonly root: string;
  readonly byteLength: number;
  readonly use: BlobUse;
};

export interface LinkPort {
  open(events: TextSocketEvents): TextSocket;
}

export type StateFile = "residual" | "update" | "weights" | "optimizer";

/** The run's own files: each is replaced as a whole or not at all. */
export interface RunFiles {
  /** Null if there is none. A damaged file is set aside, with a notice, and counts as none. */
  read(file: StateFile, notice: (sentence: string) => void): Promise<ReadFile | null>;
  write(file: StateFile, header: Json, parts: readonly Uint8Array[]): Promise<void>;
  remove(file: StateFile): Promise<void>;
  /** Adds a line to the receipts. */
  addReceipt(receipt: Json): Promise<void>;
}
export type ReadFile = { readonly header: unknown; readonly payload: Uint8Array };

export interface WorkerTimers extends Timers {
  /** Milliseconds that never run backwards. */
  now(): number;
}

export type WorkerPorts = {
  readonly link: LinkPort;
  readonly api: ApiPort;
  readonly compute: ComputePort;
  readonly files: RunFiles;
  readonly timers: WorkerTimers;
  readonly hash: Sha256;
};
