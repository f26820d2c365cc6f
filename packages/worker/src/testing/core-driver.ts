// Drives a WorkerCore in tests: plays the coordinator's messages and the host's results.
// Not a host: nothing is computed, every root is a stand-in.

import { stateRoot } from "@manyhands/aggregation/roots";
import { defined } from "@manyhands/base/assert";
import { fromHex, toHex } from "@manyhands/base/bytes";
import { hashLeaf } from "@manyhands/base/hash";
import type { SigningKey } from "@manyhands/protocol/keys";
import type {
  ClientMessage,
  ClosedRound,
  RoundInfo,
  ServerMessage,
} from "@manyhands/protocol/messages";
import { updateLeaf } from "@manyhands/protocol/roots";
import { type FrozenRun, runIdOf } from "@manyhands/protocol/run-config";
import { logHeadSigningBytes } from "@manyhands/protocol/signing";
import { hashOf, joinOf, testRun, workerIdFor } from "@manyhands/protocol/testing/fixtures";
import { KERNEL_SET, PROTOCOL_VERSION } from "@manyhands/protocol/version";
import { EMPTY_LEDGER } from "../core/stored.ts";
import type {
  Failure,
  Job,
  JobKind,
  Outcome,
  OutcomeOf,
  Receipt,
  TimerName,
  VerifySignature,
  WorkerEffect,
  WorkerEnd,
  WorkerInput,
} from "../core/types.ts";
import { WorkerCore } from "../core/worker-core.ts";

type Welcome = Extract<ServerMessage, { type: "welcome" }>;
type Update = Extract<ClientMessage, { type: "commit" }>["update"];

export const SIGNATURE = hashOf("signature").repeat(2);

/** The coordinator's key, and what stands for its signatures: of these bytes, by this key. */
export const AUTHORITY: SigningKey = { algorithm: "ed25519", bytes: hashOf("coordinator") };

function authoritySignature(bytes: Uint8Array): string {
  return toHex(hashLeaf("test/signature", fromHex(AUTHORITY.bytes), bytes)).repeat(2);
}

export const verifyAuthority: VerifySignature = (key, bytes, signature) =>
  key.bytes === AUTHORITY.bytes && signature === authoritySignature(bytes);

/** State root of a closed round whose weights root is `weightsRoot`. */
export function boundRoot(weightsRoot: string, round: number): string {
  const feedbackRoot = fromHex(hashOf(`feedback after ${round}`));
  return toHex(stateRoot({ weightsRoot: fromHex(weightsRoot), feedbackRoot, round: round + 1 }));
}

/** Round `round` as the coordinator tells it: its weights are `weights after <round>`. */
export function closedRound(round: number, byteLength = 100): ClosedRound {
  const weightsRoot = hashOf(`weights after ${round}`);
  return {
    round,
    aggregate: { root: hashOf(`aggregate ${round}`), byteLength },
    weightsRoot,
    feedbackRoot: hashOf(`feedback after ${round}`),
    stateRoot: boundRoot(weightsRoot, round),
  };
}

const INITIAL_STATE = hashOf("initial state");

/** The open round with ten inner steps for us. */
export function openRound(round: number, innerSteps = 10): RoundInfo {
  return {
    round,
    baseRoot: round === 0 ? INITIAL_STATE : closedRound(round - 1).stateRoot,
    seed: hashOf(`seed ${round}`),
    position: 0,
    positionAfter: 1_000,
    assignment: { innerSteps, firstSample: 20 * round, sampleCount: 20, evaluate: null },
  };
}

export class CoreDriver {
  readonly run: FrozenRun;
  readonly runId: string;
  readonly core: WorkerCore;
  readonly workerId = workerIdFor("anna");
  now = 1_000;
  /** Effects since the last `take`. */
  #effects: WorkerEffect[] = [];
  #jobs: { readonly id: number; readonly job: Job }[] = [];

  constructor(options: { readonly run?: FrozenRun; readonly seed?: number } = {}) {
    this.run = options.run ?? testRun();
    this.runId = runIdOf(this.run);
    const { signingKey, exchangeKey } = joinOf("anna");
    this.core = new WorkerCore({
      runId: this.runId,
      token: "let me in",
      name: "anna",
      identity: { workerId: this.workerId, signingKey, exchangeKey, sign: () => SIGNATURE },
      verify: verifyAuthority,
      numerics: "ort-cpu",
      seed: options.seed ?? 1,
    });
  }

  input(input: WorkerInput): readonly WorkerEffect[] {
    const effects = this.core.handle(input, this.now);
    this.#effects.push(...effects);
    for (const effect of effects) if (effect.kind === "job") this.#jobs.push(effect);
    return effects;
  }

  message(message: ServerMessage): readonly WorkerEffect[] {
    return this.input({ kind: "message", message });
  }

  timer(timer: TimerName): readonly WorkerEffect[] {
    return this.input({ kind: "timer", timer });
  }

  reject(code: string, round: number | null = null): readonly WorkerEffect[] {
    return this.message({ type: "reject", code, message: `because of ${code}`, round });
  }

  disconnect(code = 1006, httpStatus: number | null = null): readonly WorkerEffect[] {
    return this.input({ kind: "disconnected", why: "cut", code, httpStatus });
  }

  /** Effects since the last call. */
  take(): readonly WorkerEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  sent(): readonly ClientMessage[] {
    return this.take().flatMap((effect) => (effect.kind === "send" ? [effect.message] : []));
  }

  end(): WorkerEnd | null {
    const exit = this.#effects.find((effect) => effect.kind === "exit");
    return exit?.kind === "exit" ? exit.end : null;
  }

  /** The job that runs, which must be of this kind. */
  job<K extends JobKind>(kind: K): Extract<Job, { kind: K }> {
    const { job } = defined(this.#jobs.at(-1), `expected the job ${kind}, found none`);
    if (job.kind !== kind) throw new TypeError(`expected the job ${kind}, found ${job.kind}`);
    return job as Extract<Job, { kind: K }>;
  }

  /** Kinds of all jobs so far. */
  jobKinds(): readonly JobKind[] {
    return this.#jobs.map(({ job }) => job.kind);
  }

  done(outcome: Outcome): readonly WorkerEffect[] {
    this.job(outcome.kind);
    return this.input({ kind: "done", id: this.#lastId(), outcome });
  }

  fail(failure: Partial<Failure>): readonly WorkerEffect[] {
    const whole = { sentence: "it broke", transient: false, code: null, ...failure };
    return this.input({ kind: "failed", id: this.#lastId(), failure: whole });
  }

  #lastId(): number {
    return defined(this.#jobs.at(-1), "a job was started").id;
  }

  /** Connects and plays the greeting up to the join. */
  greet(): void {
    this.input({ kind: "connected" });
    this.message({
      type: "challenge",
      protocolVersion: PROTOCOL_VERSION,
      kernelSet: KERNEL_SET,
      runId: this.runId,
      challenge: hashOf("challenge"),
    });
  }

  welcome(changes: Partial<Welcome> = {}): readonly WorkerEffect[] {
    return this.message({
      type: "welcome",
      workerId: this.workerId,
      session: hashOf("session"),
      run: this.run,
      authority: [AUTHORITY],
      checkpoint: {
        rounds: 0,
        root: hashOf("checkpoint"),
        byteLength: 1_000,
        stateRoot: INITIAL_STATE,
      },
      closed: [],
      current: null,
      paused: false,
      ...changes,
    });
  }

  /** Started, joined and prepared, with nothing kept from before and the first weights loaded. */
  joined(changes: Partial<Welcome> = {}): this {
    this.input({ kind: "started" });
    this.greet();
    this.welcome(changes);
    this.restored();
    this.done({ kind: "prepare" });
    this.done({ kind: "load-checkpoint", weightsRoot: this.run.initialWeightsRoot });
    return this;
  }

  restored(kept: Partial<OutcomeOf<"restore">> = {}): void {
    this.done({ kind: "restore", weights: null, update: null, ledger: EMPTY_LEDGER, ...kept });
  }

  /** The training is over, and its update compressed and kept. */
  trained(innerSteps = 10): Update {
    this.done({ kind: "train", innerSteps, lossMicronats: 2_000_000, innerStepMicros: 900 });
    this.done({
      kind: "encode",
      updateRoot: hashOf("update"),
      updateBytes: 100,
      residualBefore: hashOf("residual before"),
      residualAfter: hashOf("residual after"),
    });
    const { update } = this.job("keep-update").stored;
    this.done({ kind: "keep-update" });
    return update;
  }

  /** What the coordinator answers to an accepted commitment. */
  receipt(update: Update, changes: Partial<Receipt> = {}): readonly WorkerEffect[] {
    const previousHead = hashOf("previous head");
    const entry = hashOf("entry");
    const link = hashLeaf("manyhands/log/v1", fromHex(previousHead), fromHex(entry));
    const head = changes.head ?? toHex(link);
    return this.message({
      type: "receipt",
      round: update.round,
      updateRoot: update.updateRoot,
      leaf: updateLeaf(this.runId, this.workerId, update),
      sequence: 7,
      previousHead,
      entry,
      head,
      signature: authoritySignature(logHeadSigningBytes(this.runId, head)),
      ...changes,
    });
  }
}
