// Carries out the reducer's jobs: bytes, arrays and files. One job at a time, by the reducer's own
// rule. Not the order of jobs, and not what a failure means: core/jobs.ts.

import { f32Bytes } from "@manyhands/aggregation/roots";
import { AssertionError, assert, defined, unreachable } from "@manyhands/base/assert";
import { list, problemText } from "@manyhands/base/decode";
import { ManyhandsError, messageOf } from "@manyhands/base/errors";
import { MemoryLimitError } from "@manyhands/engine/plan/plan-training";
import { NetworkError, RefusedError } from "@manyhands/net/errors";
import { type ClosedRound, closedRoundDecoder } from "@manyhands/protocol/messages";
import { blobsOf, type FrozenRun, tokensPerStep } from "@manyhands/protocol/run-config";
import { innerStepScale } from "@manyhands/protocol/schedule";
import { Replica } from "../core/replica.ts";
import type { WeightsName } from "../core/stored.ts";
import {
  type Failure,
  type Job,
  type JobKind,
  MEMORY_LIMIT,
  type OutcomeOf,
} from "../core/types.ts";
import {
  f32From,
  readOptimizer,
  restoreRun,
  writeOptimizer,
  writeResidual,
} from "./persistence.ts";
import type { TrainStep, WorkerPorts } from "./ports.ts";

const ROUNDS_LISTED_MAX = 1_024;
const MICRONATS = 1_000_000;

/** A job that cannot give what it should, with the reason: never a bug of ours. */
class JobError extends ManyhandsError {
  override readonly name = "JobError";
}

export type JobEvents = {
  onStep(step: { innerStep: number; loss: number; tokensPerSecond: number }): void;
  onNotice(sentence: string): void;
};

type JobOf<K extends JobKind> = Extract<Job, { kind: K }>;

export class JobRunner {
  readonly #ports: WorkerPorts;
  readonly #events: JobEvents;
  readonly #abort = new AbortController();
  #training: AbortController | null = null;
  #running: Promise<unknown> | null = null;
  #run: FrozenRun | null = null;
  #replica: Replica | null = null;
  #pseudoGradient: Float32Array | null = null;

  constructor(ports: WorkerPorts, events: JobEvents) {
    this.#ports = ports;
    this.#events = events;
  }

  /** @throws ManyhandsError when the job failed, AssertionError on a bug */
  run(job: Job): Promise<OutcomeOf<JobKind>> {
    assert(this.#running === null, "one job at a time");
    const running = this.#start(job).finally(() => {
      this.#running = null;
    });
    this.#running = running;
    return running;
  }

  /** The running training stops after its current inner step. */
  stopTraining(): void {
    this.#training?.abort();
  }

  /** Everything stops as soon as it can; results are of no interest any more. */
  abort(): void {
    this.#abort.abort();
    this.#training?.abort();
  }

  /** Resolves when nothing runs any more. */
  async finish(): Promise<void> {
    await this.#running?.catch(() => undefined);
  }

  #start(job: Job): Promise<OutcomeOf<JobKind>> {
    switch (job.kind) {
      case "restore":
        return this.#restore(job);
      case "prepare":
        return this.#prepare(job);
      case "load-checkpoint":
        return this.#loadCheckpoint(job);
      case "list-rounds":
        return this.#listRounds(job);
      case "follow":
        return this.#follow(job);
      case "evaluate":
        return this.#evaluate(job);
      case "train":
        return this.#train(job);
      case "encode":
        return this.#encode();
      case "keep-update":
        return this.#keepUpdate(job);
      case "upload":
        return this.#upload(job);
      case "settle":
        return this.#settle(job);
      case "save":
        return this.#save();
      default:
        return unreachable(job);
    }
  }

  async #restore({ run }: JobOf<"restore">): Promise<OutcomeOf<"restore">> {
    this.#run = run;
    this.#replica = new Replica(run, this.#ports.hash);
    const restored = await restoreRun(this.#replica, this.#ports.files, this.#events.onNotice);
    return { kind: "restore", ...restored };
  }

  async #prepare({ run }: JobOf<"prepare">): Promise<OutcomeOf<"prepare">> {
    const files: Uint8Array[] = [];
    for (const { root, byteLength } of blobsOf(run)) {
      files.push(await this.#ports.api.blob({ root, byteLength, use: "data" }, this.#abort.signal));
    }
    await this.#ports.compute.prepare(run, files);
    const optimizer = await readOptimizer(this.#ports.files, this.#events.onNotice);
    if (optimizer && !this.#ports.compute.loadOptimizer(optimizer)) {
      this.#events.onNotice("The optimiser's state kept here is another model's; starting afresh.");
    }
    return { kind: "prepare" };
  }

  async #loadCheckpoint(job: JobOf<"load-checkpoint">): Promise<OutcomeOf<"load-checkpoint">> {
    const { root, byteLength, rounds } = job.checkpoint;
    const { replica, run } = this.#parts();
    if (rounds === 0 && this.#computedFirstWeights(run, replica)) {
      return { kind: "load-checkpoint", weightsRoot: run.initialWeightsRoot };
    }
    if (byteLength !== replica.elements * 4) {
      throw new JobError(
        `the checkpoint has ${byteLength} B, the model needs ${replica.elements * 4} B`,
      );
    }
    const wanted = { root, byteLength, use: "checkpoint" } as const;
    const bytes = await this.#ports.api.blob(wanted, this.#abort.signal);
    replica.setWeights(f32From(bytes));
    return { kind: "load-checkpoint", weightsRoot: replica.weightsRoot() };
  }

  /** The first weights follow from the seed: no need to fetch what can be computed and checked. */
  #computedFirstWeights(run: FrozenRun, replica: Replica): boolean {
    const weights = this.#ports.compute.initialWeights(run);
    if (weights?.length !== replica.elements) return false;
    replica.setWeights(weights);
    return replica.weightsRoot() === run.initialWeightsRoot;
  }

  async #listRounds({ from }: JobOf<"list-rounds">): Promise<OutcomeOf<"list-rounds">> {
    const answer = await this.#ports.api.rounds(from, this.#abort.signal);
    const decoded = list(closedRoundDecoder, { max: ROUNDS_LISTED_MAX })(answer);
    if (!decoded.ok) {
      throw new JobError(`the list of rounds is malformed: ${problemText(decoded.error)}`);
    }
    return { kind: "list-rounds", rounds: decoded.value };
  }

  async #follow({ closed, isNewest }: JobOf<"follow">): Promise<OutcomeOf<"follow">> {
    const { replica } = this.#parts();
    const aggregate = await this.#aggregateOf(closed);
    const followed = replica.follow(aggregate);
    if (!followed.ok) {
      throw new JobError(`round ${closed.round}: ${JSON.stringify(followed.error)}`);
    }
    const weightsRoot = followed.value;
    const agrees = weightsRoot === closed.weightsRoot;
    // Only states that agree are kept, and of a row of rounds only the last: it is written in full.
    if (agrees && isNewest) {
      const { stateRoot } = closed;
      const name = { rounds: closed.round + 1, weightsRoot, stateRoot };
      await this.#keepWeights(name);
    }
    return { kind: "follow", weightsRoot };
  }

  /** Only a saving of bytes for the next start: a full disk is no reason to stop. */
  async #keepWeights(name: WeightsName): Promise<void> {
    try {
      await this.#ports.files.write("weights", name, [this.#parts().replica.weightBytes()]);
    } catch (caught) {
      if (!(caught instanceof ManyhandsError)) throw caught;
      this.#events.onNotice(`The weights could not be kept: ${caught.message}`);
    }
  }

  async #aggregateOf({ aggregate }: ClosedRound): Promise<Uint8Array | null> {
    if (!aggregate) return null;
    return this.#ports.api.blob({ ...aggregate, use: "none" }, this.#abort.signal);
  }

  async #evaluate({ windows }: JobOf<"evaluate">): Promise<OutcomeOf<"evaluate">> {
    const { replica } = this.#parts();
    const { loss, tokens } = await this.#ports.compute.evaluate(replica.weights, windows);
    if (!isLoss(loss)) throw new JobError(`the loss is ${loss}`);
    return { kind: "evaluate", lossMicronats: Math.round(loss * MICRONATS), tokens };
  }

  async #train({ round }: JobOf<"train">): Promise<OutcomeOf<"train">> {
    const { replica, run } = this.#parts();
    const { firstSample, innerSteps } = round.assignment;
    this.#training = new AbortController();
    if (this.#abort.signal.aborted) this.#training.abort();
    const report = await this.#ports.compute.train({
      base: replica.weights,
      firstSample,
      innerSteps,
      scale: (step) => innerStepScale(run.recipe.schedule, round, step, innerSteps),
      signal: this.#training.signal,
      onStep: (step) => this.#events.onStep(progressOf(step, run)),
    });
    this.#training = null;
    const { meanLoss } = report;
    if (report.innerSteps > 0 && !isLoss(meanLoss)) throw new JobError(`the loss is ${meanLoss}`);
    this.#pseudoGradient = report.pseudoGradient;
    return {
      kind: "train",
      innerSteps: report.innerSteps,
      lossMicronats: report.innerSteps > 0 ? Math.round(meanLoss * MICRONATS) : 0,
      innerStepMicros: Math.round(report.innerStepMicros),
    };
  }

  async #encode(): Promise<OutcomeOf<"encode">> {
    const { replica } = this.#parts();
    const pseudoGradient = defined(this.#pseudoGradient, "a training came before");
    this.#pseudoGradient = null;
    const encoded = replica.encode(pseudoGradient);
    if (!encoded.ok) throw new JobError(`the update is unusable (${encoded.error.code})`);
    const { bytes, updateRoot, residualBefore, residualAfter } = encoded.value;
    return {
      kind: "encode",
      updateRoot,
      updateBytes: bytes.length,
      residualBefore,
      residualAfter,
    };
  }

  async #keepUpdate({ stored }: JobOf<"keep-update">): Promise<OutcomeOf<"keep-update">> {
    const { bytes, residualAfter } = defined(this.#parts().replica.unsent, "an encoded update");
    const parts = [bytes, f32Bytes(residualAfter)];
    await this.#ports.files.write("update", stored, parts);
    return { kind: "keep-update" };
  }

  async #upload({ root }: JobOf<"upload">): Promise<OutcomeOf<"upload">> {
    const { bytes } = defined(this.#parts().replica.unsent, "an update on its way");
    await this.#ports.api.put(root, bytes, this.#abort.signal);
    return { kind: "upload" };
  }

  /**
   * The residual with its ledger is replaced first: from then on the kept update is out of date.
   */
  async #settle({ answer, ledger, receipt }: JobOf<"settle">): Promise<OutcomeOf<"settle">> {
    const { replica } = this.#parts();
    const { files } = this.#ports;
    if (answer === "accepted") replica.accept();
    else if (answer === "refused") replica.refuse();
    else replica.forget();
    if (receipt) await files.addReceipt(receipt);
    await writeResidual(files, replica, ledger);
    await files.remove("update");
    return { kind: "settle" };
  }

  async #save(): Promise<OutcomeOf<"save">> {
    const optimizer = this.#run && this.#ports.compute.optimizer();
    if (optimizer) await writeOptimizer(this.#ports.files, optimizer);
    return { kind: "save" };
  }

  #parts(): { replica: Replica; run: FrozenRun } {
    return {
      replica: defined(this.#replica, "the run was restored first"),
      run: defined(this.#run, "the run was restored first"),
    };
  }
}

function isLoss(loss: number): boolean {
  return Number.isFinite(loss) && loss >= 0;
}

function progressOf({ innerStep, loss, micros }: TrainStep, run: FrozenRun) {
  const tokensPerSecond = (tokensPerStep(run.recipe) * 1e6) / Math.max(1, micros);
  return { innerStep, loss, tokensPerSecond };
}

const BUGS = [AssertionError, TypeError, RangeError, ReferenceError] as const;

/** What a caught error means for the reducer; null for a bug, which must not be swallowed. */
export function failureOf(caught: unknown): Failure | null {
  if (BUGS.some((bug) => caught instanceof bug)) return null;
  const sentence = messageOf(caught);
  if (caught instanceof NetworkError) return { sentence, transient: true, code: null };
  if (caught instanceof MemoryLimitError) {
    const advice = caught.hint === undefined ? "" : `; ${caught.hint}`;
    return { sentence: `${sentence}${advice}`, transient: false, code: MEMORY_LIMIT };
  }
  if (caught instanceof RefusedError) {
    return { sentence, transient: false, code: caught.code ?? `http/${caught.status}` };
  }
  return { sentence, transient: false, code: null };
}
