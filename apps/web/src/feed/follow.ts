// Follows one run by asking: its status, its closed rounds, the newest rows of its log.
// Only what is new crosses the wire twice. Not a screen, and it decides nothing.
import type { LogRow } from "@manyhands/coordinator/log/log";
import { decodeRow } from "@manyhands/coordinator/log/log";
import type { RunStatus } from "@manyhands/coordinator/status";
import { STALENESS_MAX } from "@manyhands/protocol/limits";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { entryOfRow } from "./fold.ts";
import { ask, askJson, type Trouble } from "./http.ts";
import type { FeedNews, HistoryAnswer } from "./run-view.ts";

const ROUNDS_PER_QUESTION = 4_096;
const ROWS_PER_QUESTION = 512;
/** Lines that a visitor sees of what was before. */
const ROWS_BEFORE = 400;
/** So far behind, the lines between are left out. */
const ROWS_BEHIND_MAX = 4_096;

export type FollowOptions = {
  readonly runId: string;
  readonly token: string | null;
  readonly tell: (news: FeedNews) => void;
};

export class Follower {
  readonly #options: FollowOptions;
  #rounds = 0;
  #nextRow: number | null = null;
  #hasRun = false;
  #isRefused = false;

  constructor(options: FollowOptions) {
    this.#options = options;
  }

  /** Asks once for everything new. @returns how long to wait until the next time */
  async ask(): Promise<number> {
    const { runId, tell } = this.#options;
    const startedAt = performance.now();
    const status = await askJson<RunStatus>(`/runs/${runId}`);
    if (!status.ok) {
      tell({ runId, trouble: status.error });
      return waitAfter(status.error);
    }
    tell({ runId, status: status.value, trouble: null });
    const rows = await this.#newRounds(status.value.round);
    if (this.#options.token !== null && !this.#isRefused) await this.#newRows(rows);
    const spent = performance.now() - startedAt;
    return pauseFor(status.value, spent);
  }

  /** @returns how many rows the log has; null if that was not told */
  async #newRounds(closed: number): Promise<number | null> {
    const { runId, tell } = this.#options;
    for (;;) {
      // An evaluation may come in late, for a round that is known already.
      const from = Math.max(0, this.#rounds - STALENESS_MAX);
      const path = `/runs/${runId}/history?from=${from}&limit=${ROUNDS_PER_QUESTION}`;
      const answer = await askJson<HistoryAnswer>(path);
      if (!answer.ok) return null;
      const { columns, rows } = answer.value;
      if (columns.round.length > 0) tell({ runId, columns, trouble: null });
      this.#rounds = (columns.round.at(-1) ?? -1) + 1;
      if (this.#rounds >= closed || columns.round.length < ROUNDS_PER_QUESTION) return rows;
    }
  }

  async #newRows(length: number | null): Promise<void> {
    if (length === null) return;
    const { runId, tell } = this.#options;
    if (!this.#hasRun) await this.#readRun();
    if (this.#nextRow === null || length - this.#nextRow > ROWS_BEHIND_MAX) {
      this.#nextRow = Math.max(0, length - ROWS_BEFORE);
    }
    while (this.#nextRow < length && !this.#isRefused) {
      const rows = await this.#rows(this.#nextRow, ROWS_PER_QUESTION);
      const last = rows.at(-1);
      if (!last) return;
      const entries = rows.flatMap((row) => entryOfRow(row) ?? []);
      tell({ runId, entries, trouble: null });
      this.#nextRow = last.sequence + 1;
    }
  }

  async #readRun(): Promise<void> {
    const { runId, tell } = this.#options;
    const [row] = await this.#rows(0, 1);
    const event = row ? decodeRow(row) : null;
    if (!event?.ok || event.value.type !== "RunCreated") return;
    const run: FrozenRun = event.value.run;
    this.#hasRun = true;
    tell({ runId, run, trouble: null });
  }

  async #rows(from: number, limit: number): Promise<readonly LogRow[]> {
    const { runId, token } = this.#options;
    const rows = await askRows({ runId, token, from, limit });
    if (rows.ok) return rows.value;
    this.#isRefused = rows.error.kind === "refused";
    return [];
  }
}

export type RowsQuestion = {
  readonly runId: string;
  readonly token: string | null;
  readonly from: number;
  readonly limit: number;
};

/** Rows of the log, as they were sent: nothing is checked here. */
export async function askRows(
  question: RowsQuestion,
): Promise<
  | { readonly ok: true; readonly value: readonly LogRow[] }
  | { readonly ok: false; readonly error: Trouble }
> {
  const { runId, token, from, limit } = question;
  const answer = await ask(`/runs/${runId}/log?from=${from}&limit=${limit}`, { token });
  if (!answer.ok) return answer;
  try {
    const lines = (await answer.value.text()).split("\n").filter((line) => line !== "");
    return { ok: true, value: lines.map((line) => JSON.parse(line) as LogRow) };
  } catch {
    return { ok: false, error: { kind: "away", message: "the log broke off in the middle" } };
  }
}

const PAUSE_MS = 1_000;
const QUIET_PAUSE_MS = 5_000;
const TRIES_AGAIN_MS = 3_000;

/** Large answers are asked for more rarely, so that a watcher is never a burden. */
function pauseFor(status: RunStatus, spentMs: number): number {
  const quiet = status.phase === "finished" || status.phase === "paused";
  return Math.max(quiet ? QUIET_PAUSE_MS : PAUSE_MS, spentMs * 4, status.workers.length * 4);
}

function waitAfter(trouble: Trouble): number {
  return trouble.kind === "unknown" ? QUIET_PAUSE_MS : TRIES_AGAIN_MS;
}
