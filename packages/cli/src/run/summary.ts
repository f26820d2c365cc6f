// summary.json: what came out of a run, in numbers that a script can read. Pure.
import type { RunStatus, WorkerStatus } from "@manyhands/coordinator/status";
import type { FinishReason } from "@manyhands/protocol/events";
import type { WorkerId } from "@manyhands/protocol/keys";
import { type FrozenRun, type Recipe, tokensPerStep } from "@manyhands/protocol/run-config";

export type WorkerSummary = {
  readonly id: WorkerId;
  readonly name: string;
  /** Tokens of its accepted updates: its credit. */
  readonly tokens: number;
  readonly updates: number;
  /** Account that its credit is paid to; null: none was named. */
  readonly payTo: string | null;
  /** All bytes at its sockets, up and down. */
  readonly bytes: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
};

export type Summary = {
  readonly runId: string;
  readonly name: string;
  readonly finishReason: FinishReason | null;
  /** Weights that train, and travel. */
  readonly parameters: number;
  /** What lies in export/. Left out: a model. */
  readonly trained?: "adapter";
  /** What a token is. Left out: a byte. */
  readonly unit?: "token";
  readonly tokens: number;
  readonly rounds: number;
  /** Nats per token over the whole validation split, of the weights in export/. */
  readonly valLoss: number | null;
  readonly valTokens: number;
  /** Every byte at the coordinator's sockets, joins and data included. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** 8 · parameters · workers · steps: float32 gradients up and weights down, every step. */
  readonly bytesDataParallelFp32: number;
  readonly dataParallel: {
    readonly workers: number;
    readonly globalBatchTokens: number;
    readonly steps: number;
    /** The same steps by ring all-reduce: 8 · parameters · (workers − 1) · steps. */
    readonly bytesRingFp32: number;
  };
  /**
   * From the run's creation to its end by the coordinator's clock, which stands while it is down.
   */
  readonly wallSeconds: number;
  /** Sum of the rounds' durations: the clock of budget.minutes. */
  readonly trainingSeconds: number;
  /** tokens / trainingSeconds. */
  readonly tokensPerSecond: number;
  readonly workers: readonly WorkerSummary[];
};

export type SummaryFacts = {
  readonly status: RunStatus;
  readonly recipe: Recipe;
  /** What the run trains on, and what its tokens are; by default a model from nothing, bytes. */
  readonly run?: Pick<FrozenRun, "tuning" | "tokenizer">;
  readonly evaluation: { readonly loss: number; readonly tokens: number } | null;
  /** Tokens of one step of the data-parallel run; by default a step of every contributor. */
  readonly globalBatchTokens?: number | undefined;
};

export function summaryOf(facts: SummaryFacts): Summary {
  const { status, evaluation } = facts;
  const { parameters, tokensCommitted } = status;
  const workers = status.workers.map(workerSummary).sort((a, b) => b.tokens - a.tokens);
  const contributors = Math.max(1, workers.filter((worker) => worker.updates > 0).length);
  const globalBatchTokens = facts.globalBatchTokens ?? contributors * tokensPerStep(facts.recipe);
  const steps = tokensCommitted / globalBatchTokens;
  const trainingSeconds = status.trainingMs / 1_000;
  return {
    runId: status.runId,
    name: status.name,
    finishReason: status.finishReason,
    parameters,
    ...(facts.run?.tuning?.method === "lora" ? { trained: "adapter" as const } : {}),
    ...(facts.run?.tokenizer === "ids" ? { unit: "token" as const } : {}),
    tokens: tokensCommitted,
    rounds: status.round,
    valLoss: evaluation?.loss ?? null,
    valTokens: evaluation?.tokens ?? 0,
    bytesUp: status.traffic.bytesUp,
    bytesDown: status.traffic.bytesDown,
    bytesDataParallelFp32: Math.round(8 * parameters * contributors * steps),
    dataParallel: {
      workers: contributors,
      globalBatchTokens,
      steps,
      bytesRingFp32: Math.round(8 * parameters * (contributors - 1) * steps),
    },
    wallSeconds: status.tick / 1_000,
    trainingSeconds,
    tokensPerSecond: trainingSeconds > 0 ? tokensCommitted / trainingSeconds : 0,
    workers,
  };
}

function workerSummary(worker: WorkerStatus): WorkerSummary {
  const { bytesUp, bytesDown } = worker;
  return {
    id: worker.workerId,
    name: worker.name,
    tokens: worker.credit,
    updates: worker.updateCount,
    payTo: worker.payTo,
    bytes: bytesUp + bytesDown,
    bytesUp,
    bytesDown,
  };
}
