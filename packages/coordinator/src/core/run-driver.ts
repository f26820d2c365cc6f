// One run, brought forward: proposes what the protocol demands, computes each close, keeps
// checkpoints. Not the conversation with workers: that is coordinator-core's.
import { assert, defined, unreachable } from "@manyhands/base/assert";
import { type Bytes, toHex } from "@manyhands/base/bytes";
import { err, ok, type Result } from "@manyhands/base/result";
import { demandOf } from "@manyhands/protocol/demand";
import { activeCount } from "@manyhands/protocol/due";
import type { FinishReason, RunEvent, Tick } from "@manyhands/protocol/events";
import { commitmentsClosed, roundClosed, roundOpened } from "@manyhands/protocol/propose";
import type { Reject } from "@manyhands/protocol/rejects";
import { type FrozenRun, runIdOf } from "@manyhands/protocol/run-config";
import type { Contribution, RunState, Transition } from "@manyhands/protocol/state";
import { step } from "@manyhands/protocol/step";
import { DamagedBlobError, RunFolderError } from "../errors.ts";
import { EMPTY_LOG, type LogRow } from "../log/log.ts";
import {
  addCheckpoint,
  type Checkpoint,
  checkpointBlobs,
  loadCheckpoints,
  storeCheckpoint,
} from "./checkpoints.ts";
import { type Closes, Ledger, rejectText, replayLog } from "./ledger.ts";
import type { CorePorts } from "./ports.ts";
import { checkHostable } from "./rules.ts";
import { auditSeedOf } from "./run-seeds.ts";
import { SharedWeights } from "./shared-weights.ts";

/** What a run begins with; its data files are in the blob store already. */
export type NewRun = { readonly run: FrozenRun; readonly weights: Float32Array };

export type DriverOptions = {
  readonly ports: CorePorts;
  readonly create?: NewRun | undefined;
  readonly checkpointEvery: number;
};

/** Told of every event after it is durable. */
export type OnAppended = (event: RunEvent, transition: Transition) => void;

type Parts = {
  readonly options: DriverOptions;
  readonly ledger: Ledger;
  readonly weights: SharedWeights;
  readonly checkpoints: readonly Checkpoint[];
};

export class RunDriver {
  readonly ledger: Ledger;
  readonly #ports: CorePorts;
  readonly #checkpointEvery: number;
  readonly #weights: SharedWeights;
  /** The run's tick when this process began, and the clock then: downtime does not count. */
  readonly #startTick: Tick;
  readonly #startedAt: number;
  #checkpoints: readonly Checkpoint[];
  #wish: "pause" | "stop" | null = null;
  onAppended: OnAppended = () => undefined;

  private constructor({ options, ledger, weights, checkpoints }: Parts) {
    this.#ports = options.ports;
    this.#checkpointEvery = options.checkpointEvery;
    this.ledger = ledger;
    this.#weights = weights;
    this.#checkpoints = checkpoints;
    this.#startTick = ledger.state.tick;
    this.#startedAt = options.ports.clock.now();
    this.#tidyBlobs();
  }

  /**
   * Continues the run where its log ends, or begins it.
   *
   * @throws CorruptLogError, RunFolderError, DiskError
   */
  static open(options: DriverOptions): RunDriver {
    const { ports, create } = options;
    const replayed = replayLog(ports.log, ports.verify);
    if (!replayed) return RunDriver.#begin(options);
    const { ledger, closes } = replayed;
    const { runId, authority } = ledger.state;
    if (create && runIdOf(create.run) !== runId) {
      throw new RunFolderError(`the log is of run ${runId}, not of run ${runIdOf(create.run)}`);
    }
    if (!authority.some(({ bytes }) => bytes === ports.authority.bytes)) {
      throw new RunFolderError("keys.json is not the key of this run's coordinator", {
        hint: "restore the keys.json that belongs to this log",
      });
    }
    const checkpoints = loadCheckpoints(ports.log);
    const weights = restoredWeights({ ledger, closes, checkpoints, ports });
    return new RunDriver({ options, ledger, weights, checkpoints });
  }

  static #begin(options: DriverOptions): RunDriver {
    const { ports, create } = options;
    if (!create) {
      throw new RunFolderError("the folder holds no run", {
        hint: "start it with a run file first",
      });
    }
    const { run } = create;
    const hostable = checkHostable(run);
    if (!hostable.ok) throw new RunFolderError(hostable.error);
    const weights = SharedWeights.initial(run, create.weights.slice(), ports.sha256);
    const roots = weights.roots();
    assert(
      roots.weightsRoot === run.initialWeightsRoot,
      "a new run comes with its initial weights",
    );
    const checkpoint = storeCheckpoint(
      {
        rounds: 0,
        stateRoot: roots.stateRoot,
        weightsBytes: weights.weightsBytes(),
        feedbackBytes: null,
      },
      ports.blobs,
    );
    const { checkpoints } = addCheckpoint([], checkpoint, ports.log);
    const event: RunEvent = {
      type: "RunCreated",
      tick: 0,
      run,
      feedbackRoot: roots.feedbackRoot,
      stateRoot: roots.stateRoot,
      authority: [ports.authority],
    };
    const created = step(null, event, { now: 0 });
    if (!created.ok) throw new RunFolderError(rejectText(created.error));
    const rows = ports.log.append(EMPTY_LOG.head, [event]);
    const ledger = new Ledger(defined(rows[0], "one event is one row"), created.value);
    return new RunDriver({ options, ledger, weights, checkpoints });
  }

  get state(): RunState {
    return this.ledger.state;
  }

  get wish(): "pause" | "stop" | null {
    return this.#wish;
  }

  get weights(): Float32Array {
    return this.#weights.weights;
  }

  /** The newest stored state. */
  get checkpoint(): Checkpoint {
    return defined(this.#checkpoints.at(-1), "a run has its initial checkpoint");
  }

  now(): Tick {
    const elapsed = Math.max(0, Math.floor(this.#ports.clock.now() - this.#startedAt));
    return Math.max(this.state.tick, this.#startTick + elapsed);
  }

  /** The clock's time of a tick. */
  clockAt(tick: Tick): number {
    return this.#startedAt + (tick - this.#startTick);
  }

  wishFor(wish: "pause" | "stop" | null): void {
    this.#wish = wish;
  }

  /** Would the protocol accept the event now? Nothing changes. */
  tryOut(event: RunEvent): Result<Transition, Reject> {
    return step(this.state, event, { now: this.now() });
  }

  /**
   * Appends an event that the protocol accepts. It is durable on return; before that, nobody hears
   * of it.
   *
   * @param onDurable what has to change together with the state, before anybody is told
   * @throws DiskError; then nothing has changed
   */
  propose(event: RunEvent, onDurable?: () => void): Result<LogRow, Reject> {
    const next = this.tryOut(event);
    if (!next.ok) return next;
    const rows = this.#ports.log.append(this.ledger.head.head, [event]);
    const row = defined(rows[0], "one event is one row");
    this.ledger.absorb(event, row, next.value);
    onDurable?.();
    this.onAppended(event, next.value);
    return ok(row);
  }

  /** Why these bytes cannot be an update of this run; null if they can. */
  screen(bytes: Bytes): string | null {
    return this.#weights.screen(bytes);
  }

  /**
   * Does all that is due.
   *
   * @returns the tick at which to ask again, or null if an event has to come first
   */
  drive(): Tick | null {
    for (;;) {
      if (this.#fulfilWish()) continue;
      const tick = this.now();
      const demand = demandOf(this.state, tick);
      switch (demand.kind) {
        case "wait":
          this.#storeFinalState();
          return demand.wakeAt;
        case "open-round":
          this.#must(roundOpened(this.state, tick, this.#seeds()));
          break;
        case "close-commitments":
          this.#must(commitmentsClosed(this.state, tick, this.#auditSeed()));
          break;
        case "aggregate":
          this.#closeRound(demand.contributions);
          break;
        case "finish":
          this.#must({ type: "RunFinished", tick, reason: demand.reason });
          break;
        default:
          return unreachable(demand);
      }
    }
  }

  resume(): void {
    this.#wish = null;
    if (this.state.phase === "paused") this.#must({ type: "RunResumed", tick: this.now() });
  }

  #must(event: RunEvent, onDurable?: () => void): void {
    const proposed = this.propose(event, onDurable);
    const refused = proposed.ok ? "" : rejectText(proposed.error);
    assert(proposed.ok, `the coordinator's own ${event.type} is accepted, found ${refused}`);
  }

  /** @returns whether an event came of it */
  #fulfilWish(): boolean {
    const { phase, pending } = this.state;
    if (this.#wish === "pause" && phase === "waiting" && pending.length === 0) {
      this.#wish = null;
      this.#must({ type: "RunPaused", tick: this.now() });
      return true;
    }
    if (this.#wish !== "stop") return false;
    const idle =
      phase === "waiting" ||
      phase === "paused" ||
      (phase === "training" && activeCount(this.state) === 0);
    if (!idle) return false;
    const tick = this.now();
    if (pending.length === 0) {
      const reason: FinishReason = "stopped";
      this.#wish = null;
      this.#must({ type: "RunFinished", tick, reason });
      return true;
    }
    // An accepted update still has to be counted: one more close, and then the end.
    if (phase === "paused") this.#must({ type: "RunResumed", tick });
    return phase === "paused";
  }

  #seeds(): { readonly seed: string; readonly auditSeed: string } {
    return { seed: toHex(this.#ports.randomBytes(32)), auditSeed: this.#auditSeed() };
  }

  #auditSeed(): string {
    return auditSeedOf(this.state.runId, this.state.roundsClosed, this.#ports.sign);
  }

  /**
   * The aggregate's bytes are stored before the event that names them, the state moves on after it.
   */
  #closeRound(contributions: readonly Contribution[]): void {
    const { blobs } = this.#ports;
    const { computed, advance } = this.#weights.close(contributions, (root) =>
      neededBlob(root, this.#ports),
    );
    if (computed.aggregate) blobs.write(computed.aggregate);
    this.#must(roundClosed(this.state, this.now(), computed.result), advance);
    this.#dropStaleUploads();
    if (this.state.roundsClosed % this.#checkpointEvery === 0) this.#storeCheckpoint();
  }

  #dropStaleUploads(): void {
    const { roundsClosed, run } = this.state;
    const { stalenessMax } = run.rounds;
    for (const root of this.ledger.uploads.takeStale(roundsClosed, stalenessMax)) {
      this.#ports.blobs.remove(root);
    }
  }

  #storeFinalState(): void {
    const { phase, roundsClosed } = this.state;
    if (phase === "finished" && this.checkpoint.rounds < roundsClosed) this.#storeCheckpoint();
  }

  #storeCheckpoint(): void {
    const { blobs, log } = this.#ports;
    const checkpoint = storeCheckpoint(
      {
        rounds: this.#weights.rounds,
        stateRoot: this.state.stateRoot,
        weightsBytes: this.#weights.weightsBytes(),
        feedbackBytes: this.#weights.feedbackBytes(),
      },
      blobs,
    );
    const { uploads } = this.ledger;
    for (const root of checkpointBlobs(checkpoint)) uploads.publish(root);
    const { checkpoints, dropped } = addCheckpoint(this.#checkpoints, checkpoint, log);
    this.#checkpoints = checkpoints;
    for (const root of dropped) {
      uploads.unpublish(root);
      blobs.remove(root);
    }
  }

  /** Publishes what the log does not name, and adopts what a former process left. */
  #tidyBlobs(): void {
    const { uploads, state } = this.ledger;
    const { blobs } = this.#ports;
    for (const root of this.#checkpoints.flatMap(checkpointBlobs)) uploads.publish(root);
    for (const root of blobs.roots()) {
      if (!uploads.known(root)) uploads.adopt(root, blobs.size(root) ?? 0, state.roundsClosed);
    }
  }
}

/** A blob that the log names. */
function neededBlob(root: string, { blobs }: Pick<CorePorts, "blobs">): Bytes {
  const bytes = blobs.read(root);
  if (!bytes) throw new DamagedBlobError(root, "the log names it, but it is not in the folder");
  return bytes;
}

/** The weights after the last closed round: from the newest checkpoint that is whole. */
function restoredWeights(found: {
  readonly ledger: Ledger;
  readonly closes: Closes;
  readonly checkpoints: readonly Checkpoint[];
  readonly ports: CorePorts;
}): SharedWeights {
  const { ledger, checkpoints, ports } = found;
  const reasons: string[] = [];
  for (const checkpoint of checkpoints.toReversed()) {
    const weights = SharedWeights.restore(ledger.state.run, checkpoint, ports);
    const advanced = weights.ok ? caughtUp(weights.value, found) : weights;
    if (advanced.ok) return advanced.value;
    reasons.push(`after ${checkpoint.rounds} rounds: ${advanced.error}`);
  }
  throw new RunFolderError(
    `no checkpoint can be continued: ${reasons.join("; ") || "there is none"}`,
    {
      hint: "run `manyhands verify` on the folder to see every damaged file",
    },
  );
}

/** Takes the closes since a checkpoint again, and compares each with the log. */
function caughtUp(
  weights: SharedWeights,
  found: { readonly ledger: Ledger; readonly closes: Closes; readonly ports: CorePorts },
): Result<SharedWeights, string> {
  const { ledger, closes, ports } = found;
  try {
    while (weights.rounds < ledger.state.roundsClosed) {
      const round = weights.rounds;
      const contributions = defined(closes.get(round), `round ${round} was closed`);
      const { computed, advance } = weights.close(contributions, (root) => neededBlob(root, ports));
      const logged = defined(ledger.closed[round], `round ${round} was closed`);
      if (computed.result.stateRoot !== logged.stateRoot) {
        const { stateRoot } = computed.result;
        return err(`round ${round} comes to ${stateRoot}, but the log says ${logged.stateRoot}`);
      }
      advance();
    }
    return ok(weights);
  } catch (error) {
    if (error instanceof DamagedBlobError) return err(error.message);
    throw error;
  }
}
