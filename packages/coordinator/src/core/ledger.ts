// The log folded: the protocol's state, and what the coordinator remembers beside it. The same fold
// for a live event and for a row that is read at a start, so that a restart knows what the process
// before knew.
import { defined } from "@manyhands/base/assert";
import { err, ok, type Result } from "@manyhands/base/result";
import { contributionsOf } from "@manyhands/protocol/contributions";
import type { RunEvent } from "@manyhands/protocol/events";
import { workerIdOf } from "@manyhands/protocol/keys";
import type { ClosedRound } from "@manyhands/protocol/messages";
import type { Reject } from "@manyhands/protocol/rejects";
import { namedBlobsOf } from "@manyhands/protocol/run-config";
import type { Contribution, Env, RunState, Transition } from "@manyhands/protocol/state";
import { step } from "@manyhands/protocol/step";
import { closedRoundOf } from "@manyhands/protocol/views";
import { CorruptLogError } from "../errors.ts";
import { EMPTY_HISTORY, foldHistory, type History } from "../history.ts";
import {
  decodeRow,
  EMPTY_LOG,
  type Log,
  type LogHead,
  type LogRow,
  rowProblems,
  type VerifySignature,
} from "../log/log.ts";
import { Receipts, receiptOf } from "./receipts.ts";
import { SharedWeights } from "./shared-weights.ts";
import { Uploads } from "./uploads.ts";

/** Points of the curves that a live coordinator keeps and tells; beyond, there is the log. */
const POINTS_KEPT = 16_384;

const ROWS_PER_READ = 512;

export class Ledger {
  #state: RunState;
  #head: LogHead;
  #history: History = EMPTY_HISTORY;
  readonly #closed: ClosedRound[] = [];
  readonly #closedRows: number[] = [];
  readonly receipts = new Receipts();
  readonly uploads: Uploads;

  /** From the first row. */
  constructor(row: LogRow, transition: Transition) {
    this.#state = transition.state;
    this.#head = { length: row.sequence + 1, head: row.head };
    const { run } = transition.state;
    this.uploads = new Uploads(SharedWeights.updateByteLength(run));
    for (const { root } of namedBlobsOf(run)) this.uploads.publish(root);
  }

  get state(): RunState {
    return this.#state;
  }

  get head(): LogHead {
    return this.#head;
  }

  /** Newest points only. */
  get history(): History {
    return this.#history;
  }

  /** Closed rounds, by their number. */
  get closed(): readonly ClosedRound[] {
    return this.#closed;
  }

  /** The rows of the log that closed the rounds, by their number. */
  get closedRows(): readonly number[] {
    return this.#closedRows;
  }

  /** Takes in an event that is in the log and that `step` has accepted. */
  absorb(event: RunEvent, row: LogRow, transition: Transition): void {
    const before = this.#state;
    this.#state = transition.state;
    this.#head = { length: row.sequence + 1, head: row.head };
    this.#history = foldHistory(this.#history, event, {
      nameWorker: (joined) => workerIdOf(joined.join.signingKey),
      pointsMax: POINTS_KEPT,
    });
    if (event.type === "UpdateCommitted") {
      const { leaf } = defined(transition.state.pending.at(-1), "a commitment is pending");
      const { round, updateRoot } = event.update;
      this.receipts.add(event.workerId, receiptOf({ round, updateRoot, leaf }, row));
      this.uploads.commit(updateRoot);
    } else if (event.type === "CommitmentsClosed") {
      this.uploads.reveal(before.pending.map(({ update }) => update.updateRoot));
    } else if (event.type === "RoundClosed") {
      this.#closed.push(closedRoundOf(event));
      this.#closedRows.push(row.sequence);
      if (event.aggregate) this.uploads.publish(event.aggregate.root);
    }
  }
}

/** What each close took, by round: for computing the weights again. */
export type Closes = ReadonlyMap<number, readonly Contribution[]>;

/**
 * Folds a whole log, checking every row's chain, signature and event.
 *
 * @returns null for an empty log
 * @throws  CorruptLogError that names the first bad row
 */
export function replayLog(
  log: Log,
  verify: VerifySignature,
): { readonly ledger: Ledger; readonly closes: Closes } | null {
  let ledger: Ledger | null = null;
  const closes = new Map<number, readonly Contribution[]>();
  for (const { row, event, next } of soundRows(rowsOf(log), verify)) {
    if (ledger) ledger.absorb(event, row, next);
    else ledger = new Ledger(row, next);
    if (event.type === "CommitmentsClosed") closes.set(event.round, contributionsOf(next.state));
  }
  return ledger && { ledger, closes };
}

/** A row that is what chain, signature and protocol say, and what follows from it. */
export type SoundRow = {
  readonly row: LogRow;
  readonly event: RunEvent;
  readonly next: Transition;
};

/** @throws CorruptLogError that names the first bad row */
export function* soundRows(rows: Iterable<LogRow>, verify: VerifySignature): Generator<SoundRow> {
  let state: RunState | null = null;
  let at: LogHead = EMPTY_LOG;
  for (const row of rows) {
    const event = soundEvent(row, { at, state, verify });
    const next = acceptOrThrow(row, state, event);
    yield { row, event, next };
    state = next.state;
    at = { length: row.sequence + 1, head: row.head };
  }
}

/** Every row of a log, in order. */
export function* rowsOf(log: Pick<Log, "rows">): Generator<LogRow> {
  let from = 0;
  for (;;) {
    const rows = log.rows(from, ROWS_PER_READ);
    yield* rows;
    const last = rows.at(-1);
    if (!last) return;
    from = last.sequence + 1;
  }
}

function soundEvent(
  row: LogRow,
  expected: {
    readonly at: LogHead;
    readonly state: RunState | null;
    readonly verify: VerifySignature;
  },
): RunEvent {
  const event = decodeRow(row);
  if (!event.ok) throw new CorruptLogError(expected.at.length, event.error);
  const rules = authorityOf(event.value, expected.state);
  if (!rules.ok) throw new CorruptLogError(expected.at.length, rules.error);
  const problems = rowProblems(row, expected.at, { ...rules.value, verify: expected.verify });
  if (problems.length > 0) throw new CorruptLogError(expected.at.length, problems.join("; "));
  return event.value;
}

/** Who may sign a row: named by the run's first event, which signs itself. */
function authorityOf(
  event: RunEvent,
  state: RunState | null,
): Result<Pick<RunState, "runId" | "authority">, string> {
  if (state) return ok(state);
  if (event.type !== "RunCreated") return err(`a log begins with RunCreated, found ${event.type}`);
  const created = step(null, event, { now: event.tick });
  return created.ok ? ok(created.value.state) : err(rejectText(created.error));
}

function acceptOrThrow(row: LogRow, state: RunState | null, event: RunEvent): Transition {
  const env: Env = { now: event.tick };
  const next = step(state, event, env);
  if (next.ok) return next.value;
  throw new CorruptLogError(row.sequence, `${event.type}: ${rejectText(next.error)}`);
}

export function rejectText(reject: Reject): string {
  return `${reject.code}: ${reject.message}`;
}
