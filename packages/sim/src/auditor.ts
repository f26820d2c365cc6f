// The judge: reads every row of the log as it becomes durable, computes the run again by itself,
// hears what everybody is told. What must never happen is a failure. Not a part of the system.
import {
  closeRound,
  initialState as initialWeightsState,
  type SharedState,
  sharedStateRoots,
} from "@manyhands/aggregation/close-round";
import { weightsRoot } from "@manyhands/aggregation/roots";
import { assert, defined } from "@manyhands/base/assert";
import { toHex } from "@manyhands/base/bytes";
import type { CoreBlobs } from "@manyhands/coordinator/blobs/blob-store";
import { roundRulesOf } from "@manyhands/coordinator/core/rules";
import {
  decodeRow,
  EMPTY_LOG,
  type LogHead,
  type LogRow,
  rowProblems,
} from "@manyhands/coordinator/log/log";
import { contributionsOf } from "@manyhands/protocol/contributions";
import type { EventOf, RunEvent, Update } from "@manyhands/protocol/events";
import type { SigningKey, WorkerId } from "@manyhands/protocol/keys";
import type { ClientMessage, ServerMessage, ServerMessageOf } from "@manyhands/protocol/messages";
import type { FrozenRun, RunId } from "@manyhands/protocol/run-config";
import { commitSigningBytes } from "@manyhands/protocol/signing";
import type { Contribution, RunState } from "@manyhands/protocol/state";
import { step } from "@manyhands/protocol/step";
import type { KeyRing } from "./keys.ts";
import { hash } from "./task.ts";
import type { World } from "./world.ts";

type Receipt = ServerMessageOf<"receipt">;

/** What an honest worker may be told no about: bad luck, never its own fault or a liar's. */
const BAD_LUCK: ReadonlySet<string> = new Set([
  "commit/too-late",
  "commit/not-joined",
  "commit/run-finished",
  "commit/blob-missing",
  "join/run-finished",
  "auth/session",
  "blob/unknown",
  "blob/quota",
]);

/** The first checkpoint and the newest two, each weights and feedback; and the data. */
const CHECKPOINT_BLOBS_MAX = 7;
/** Of one worker: uncommitted uploads of this process and of one before. */
const UPLOADS_LEFT_MAX = 8;

/** After the faults, everybody is back and heard of within so long. */
const SETTLED_MS = 60_000;

export type AuditorOptions = {
  readonly world: World;
  readonly ring: KeyRing;
  readonly runId: RunId;
  readonly authority: SigningKey;
  readonly run: FrozenRun;
  readonly weights: Float32Array;
  readonly blobs: CoreBlobs;
  readonly isHonest: (name: string) => boolean;
  /** An honest worker's commit, as somebody on its network would see it. */
  readonly overhear: (text: string) => void;
};

export class Auditor {
  readonly #options: AuditorOptions;
  #state: RunState | null = null;
  #head: LogHead = EMPTY_LOG;
  #shared: SharedState;
  #closing: readonly Contribution[] = [];
  /** Root of the weights after so many closed rounds. */
  readonly weightsRoots: string[] = [];
  readonly #rows: LogRow[] = [];
  readonly #receipts: Receipt[] = [];
  readonly #uploaded = new Set<string>();
  readonly #revealed = new Set<string>();
  /** Blobs that the log names: they stay for ever. */
  readonly #named = new Set<string>();
  /** What each honest worker claimed for a round: it must never claim something else. */
  readonly #claims = new Map<string, string>();
  /** The newest update that each honest worker has kept. */
  readonly #built = new Map<WorkerId, Update>();
  readonly #acceptedRoots = new Set<string>();
  /** Tokens of accepted updates, by worker. */
  readonly accepted = new Map<WorkerId, number>();

  constructor(options: AuditorOptions) {
    this.#options = options;
    const { outer } = roundRulesOf(options.run);
    this.#shared = initialWeightsState(options.run.fragments, options.weights.slice(), outer);
    this.weightsRoots.push(this.#weightsRoot());
  }

  get state(): RunState {
    return defined(this.#state, "the run has begun");
  }

  get begun(): boolean {
    return this.#state !== null;
  }

  get weights(): Float32Array {
    return this.#shared.weights;
  }

  get head(): string {
    return this.#head.head;
  }

  /** New rows of the log, on disk. */
  absorb(rows: readonly LogRow[]): void {
    for (const row of rows) {
      try {
        this.#absorbRow(row);
      } catch (error) {
        this.#options.world.failFrom(`row ${row.sequence}`, error);
      }
    }
  }

  #absorbRow(row: LogRow): void {
    const { runId, authority, ring, world } = this.#options;
    const rules = { runId, authority: [authority], verify: ring.verify };
    const problems = rowProblems(row, this.#head, rules);
    assert(problems.length === 0, problems.join("; "));
    const event = decodeRow(row);
    assert(event.ok, event.ok ? "" : event.error);
    const before = this.#state;
    const next = step(before, event.value, { now: event.value.tick });
    assert(next.ok, next.ok ? "" : `${next.error.code}: ${next.error.message}`);
    this.#state = next.value.state;
    this.#head = { length: row.sequence + 1, head: row.head };
    this.#rows.push(row);
    world.trace("log", `${row.sequence} ${eventText(event.value)}`);
    world.count(`event ${event.value.type}`);
    this.#checkState(before, next.value.state);
    this.#follow(event.value, before);
  }

  /** Credit is conserved and never falls; nothing grows without bound. */
  #checkState(before: RunState | null, after: RunState): void {
    let total = 0;
    for (const [workerId, { credit }] of after.workers) {
      const had = before?.workers.get(workerId)?.credit ?? 0;
      assert(credit >= had, `the credit of ${workerId} fell from ${had} to ${credit}`);
      total += credit;
    }
    assert(total === after.tokensCommitted, `credit ${total}, tokens ${after.tokensCommitted}`);
    const { stalenessMax } = after.run.rounds;
    assert(after.recent.length <= stalenessMax, `${after.recent.length} rounds remembered`);
    const waiting = after.pending.length + after.closing.length;
    const waitingMax = 2 * (stalenessMax + 1) * after.workers.size;
    assert(waiting <= waitingMax, `${waiting} commitments wait`);
  }

  #follow(event: RunEvent, before: RunState | null): void {
    const { world } = this.#options;
    switch (event.type) {
      case "UpdateCommitted":
        this.#followCommit(event);
        return;
      case "CommitmentsClosed":
        for (const { update } of this.state.closing) this.#revealed.add(update.updateRoot);
        this.#closing = contributionsOf(this.state);
        if (this.#closing.length === 0) world.count("empty rounds");
        if (before?.current?.assignments.size === 0) world.count("rounds that only drain");
        for (const { round } of this.#closing) {
          world.count(`updates closed ${event.round - round} rounds late`);
        }
        return;
      case "RoundClosed":
        this.#followClose(event);
        return;
      case "WorkerJoined":
        if (before && this.state.workers.size === before.workers.size) world.count("rejoins");
        return;
      case "WorkerLeft":
        this.#followLeave(event);
        return;
      default:
        return;
    }
  }

  #followLeave({ workerId, reason }: EventOf<"WorkerLeft">): void {
    const { world, isHonest } = this.#options;
    world.count(`workers gone: ${reason}`);
    const name = this.state.workers.get(workerId)?.join.name ?? "";
    if (reason === "expired" && isHonest(name) && world.calmMs() > SETTLED_MS) {
      world.fail(`${name} was taken for gone, long after the faults stopped`);
    }
  }

  #followCommit({ workerId, update, signature }: EventOf<"UpdateCommitted">): void {
    const { runId, ring } = this.#options;
    const worker = defined(this.state.workers.get(workerId), "a known worker committed");
    const bytes = commitSigningBytes(runId, update);
    const sound = ring.verify(worker.join.signingKey, bytes, signature);
    assert(sound, `an update of ${worker.join.name} without its signature`);
    this.#named.add(update.updateRoot);
    this.#acceptedRoots.add(`${workerId} ${update.updateRoot}`);
    this.accepted.set(workerId, (this.accepted.get(workerId) ?? 0) + update.tokens);
  }

  /** The same sum from the same blobs must come to the same roots. */
  #followClose(event: EventOf<"RoundClosed">): void {
    const { run, blobs } = this.#options;
    const closed = closeRound({
      ...this.#shared,
      ...roundRulesOf(run),
      contributions: this.#closing.map(({ id, weight, updateRoot }) => ({
        id,
        weight,
        bytes: defined(blobs.read(updateRoot), `the blob of ${id} is on the disk`),
      })),
      round: event.round + 1,
      hash,
    });
    const { fragments, weights, feedback } = closed;
    assert(closed.refused.length === 0, "every accepted update is in the mean");
    this.#shared = { fragments, weights, feedback };
    if (event.aggregate) this.#named.add(event.aggregate.root);
    const root = toHex(closed.stateRoot);
    assert(root === event.stateRoot, `round ${event.round}: state ${root} ≠ ${event.stateRoot}`);
    this.weightsRoots.push(this.#weightsRoot());
    assert(this.#weightsRoot() === event.weightsRoot, "the weights root is another");
  }

  #weightsRoot(): string {
    return toHex(weightsRoot(this.#shared.fragments, this.#shared.weights, hash));
  }

  /** The state that the coordinator acts on is the one that its log says. */
  compare(state: RunState): void {
    const mine = this.state;
    const same =
      state.phase === mine.phase &&
      state.stateRoot === mine.stateRoot &&
      state.tokensCommitted === mine.tokensCommitted &&
      state.pending.length === mine.pending.length &&
      state.workers.size === mine.workers.size;
    if (!same) this.#options.world.fail("the coordinator's state is not that of its log");
  }

  /** Somebody was told something. */
  told(message: ServerMessage, name: string): void {
    const { world } = this.#options;
    if (message.type === "reject") this.rejected(message.code, name);
    if (message.type !== "receipt") return;
    const row = this.#rows[message.sequence];
    const known = this.#receipts.some(({ head }) => head === message.head);
    if (known) world.count("receipts given again");
    else this.#receipts.push(message);
    if (row?.head !== message.head || row.entry !== message.entry) {
      world.fail(`${name} has a receipt for row ${message.sequence}, which is not in the log`);
    }
  }

  rejected(code: string, name: string): void {
    const { world, isHonest } = this.#options;
    world.count(`reject ${code}`);
    if (!isHonest(name)) return;
    world.count(`honest ${code}`);
    if (!BAD_LUCK.has(code)) world.fail(`${name} is honest, and was refused with ${code}`);
  }

  heard(message: ClientMessage, name: string, workerId: WorkerId | null): void {
    const { world, isHonest } = this.#options;
    if (message.type !== "commit" || !isHonest(name) || workerId === null) return;
    this.#options.overhear(JSON.stringify(message));
    const { round, updateRoot } = message.update;
    const place = `${name} ${round}`;
    const claimed = this.#claims.get(place);
    if (claimed === undefined) this.#claims.set(place, updateRoot);
    else if (claimed === updateRoot) world.count("commits sent again");
    else world.fail(`${name} claims two different updates for round ${round}`);
  }

  /**
   * An honest worker has kept a new update. Its residual must go on from the one before, if that
   * one counts; if it does not count, all of it must be in the residual again.
   */
  built(workerId: WorkerId, update: Update): void {
    const { world } = this.#options;
    const last = this.#built.get(workerId);
    this.#built.set(workerId, update);
    if (!last || last.updateRoot === update.updateRoot) return;
    if (last.round >= update.round) world.fail(`two updates of ${workerId} for ${update.round}`);
    const counts = this.#acceptedRoots.has(`${workerId} ${last.updateRoot}`);
    const goesOn = last.carried[0]?.after === update.carried[0]?.before;
    world.count(counts ? "residuals that go on" : "residuals that take an update back");
    if (counts !== goesOn) {
      const what = counts ? "lost what it had left out" : "does not have the refused update";
      world.fail(`the residual of ${workerId} for round ${update.round} ${what}`);
    }
  }

  uploaded(root: string): void {
    this.#uploaded.add(root);
  }

  /** Commit before reveal: nobody reads an update whose commitments are open. */
  served(root: string, name: string): void {
    if (this.#uploaded.has(root) && !this.#revealed.has(root)) {
      this.#options.world.fail(`${name} was given the sealed blob ${root}`);
    }
  }

  /** The weights that a worker starts a round from. */
  base(weights: Float32Array, round: number | null, name: string): void {
    const found = toHex(weightsRoot(this.#shared.fragments, weights, hash));
    if (round === null || this.weightsRoots[round] !== found) {
      this.#options.world.fail(`${name} trains round ${round} from other weights`);
    }
  }

  /** What must hold once everything is over. */
  finish(rows: readonly LogRow[]): void {
    const { world, blobs } = this.#options;
    for (const { sequence, head } of this.#receipts) {
      if (rows[sequence]?.head !== head) world.fail(`a receipt's row ${sequence} is gone`);
    }
    if (rows.length !== this.#rows.length) world.fail("the log has lost rows");
    const extra = blobs.roots().filter((root) => !this.#named.has(root)).length;
    const extraMax = CHECKPOINT_BLOBS_MAX + UPLOADS_LEFT_MAX * this.state.workers.size;
    if (extra > extraMax) world.fail(`${extra} blobs on the disk that nothing names`);
    for (const [workerId, tokens] of this.accepted) {
      const credit = this.state.workers.get(workerId)?.credit ?? 0;
      if (credit !== tokens) world.fail(`${workerId} gave ${tokens} tokens, has credit ${credit}`);
    }
    const roots = sharedStateRoots(this.#shared, this.state.roundsClosed, hash);
    if (toHex(roots.stateRoot) !== this.state.stateRoot) world.fail("the last state root differs");
  }
}

function eventText(event: RunEvent): string {
  switch (event.type) {
    case "WorkerJoined":
      return `WorkerJoined ${event.join.name}`;
    case "WorkerLeft":
      return `WorkerLeft ${event.workerId.slice(0, 8)} ${event.reason}`;
    case "UpdateCommitted":
      return `UpdateCommitted ${event.workerId.slice(0, 8)} for ${event.update.round}`;
    case "RoundOpened":
    case "CommitmentsClosed":
    case "RoundClosed":
      return `${event.type} ${event.round}`;
    default:
      return event.type;
  }
}
