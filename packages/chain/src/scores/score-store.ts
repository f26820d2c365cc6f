// A run's windows in one SQLite file (synchronous=FULL): what a validator said is in it before it
// is told that it was taken. Not what may be said: score-window.ts.
import { DatabaseSync } from "node:sqlite";
import { assert } from "@manyhands/base/assert";
import { canonicalJson } from "@manyhands/base/canonical";
import { type Decoded, hex, integer, list, object, oneOf } from "@manyhands/base/decode";
import { messageOf } from "@manyhands/base/errors";
import type { Result } from "@manyhands/base/result";
import { VALIDATORS_MAX } from "@manyhands/protocol/limits";
import { JournalError } from "../settle/errors.ts";
import { commitDecoder, revealDecoder } from "./messages.ts";
import { type ScoreWindow, transcriptOf } from "./score-window.ts";

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS windows (
    window INTEGER PRIMARY KEY, phase TEXT NOT NULL, summary TEXT NOT NULL, state TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS waiting ON windows (window) WHERE phase <> 'closed';
`;

const phaseDecoder = oneOf("commit", "reveal", "closed");
const stateDecoder = object({
  phase: phaseDecoder,
  window: integer(0),
  lastRound: integer(0),
  commits: list(commitDecoder, { max: VALIDATORS_MAX }),
  reveals: list(revealDecoder, { max: VALIDATORS_MAX }),
});
type State = Decoded<typeof stateDecoder>;

const summaryDecoder = object({
  window: integer(0),
  lastRound: integer(0),
  phase: phaseDecoder,
  committed: list(hex(20), { max: VALIDATORS_MAX }),
  revealed: list(hex(20), { max: VALIDATORS_MAX }),
});
/** Who has said something of a window, without what. */
export type WindowSummary = Decoded<typeof summaryDecoder>;

type Row = { readonly [column: string]: unknown };

/** Several processes may have it open: the coordinator, and its owner's commands. */
export class ScoreStore {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** @throws JournalError */
  static open(path: string): ScoreStore {
    return attempt(path, () => {
      const database = new DatabaseSync(path, { timeout: 5_000 });
      database.exec(SCHEMA);
      return new ScoreStore(database);
    });
  }

  /** All of them, from the first on: long, for a long run. */
  windows(): readonly ScoreWindow[] {
    return this.#all("SELECT state FROM windows ORDER BY window").map(windowIn);
  }

  /** Those that somebody is waited for, from the first on. */
  waiting(): readonly ScoreWindow[] {
    const sql = "SELECT state FROM windows WHERE phase <> 'closed' ORDER BY window";
    return this.#all(sql).map(windowIn);
  }

  /** The newest, oldest first. */
  newest(limit: number): readonly WindowSummary[] {
    const sql = "SELECT summary FROM windows ORDER BY window DESC LIMIT ?";
    return this.#all(sql, limit).map(summaryIn).reverse();
  }

  window(window: number): ScoreWindow | null {
    const [row] = this.#all("SELECT state FROM windows WHERE window = ?", window);
    return row ? windowIn(row) : null;
  }

  get count(): number {
    const [row] = this.#all("SELECT COUNT(*) AS count FROM windows");
    return Number(row?.["count"] ?? 0);
  }

  /** Looks, decides and stores, as one: nobody else's change is lost. */
  change<E>(
    window: number,
    decide: (now: ScoreWindow | null) => Result<ScoreWindow, E>,
  ): Result<ScoreWindow, E> {
    return attempt("writing", () => {
      this.#database.exec("BEGIN IMMEDIATE");
      try {
        const now = this.window(window);
        const next = decide(now);
        if (next.ok && next.value !== now) {
          const { phase } = next.value;
          const state = canonicalJson({ ...transcriptOf(next.value), phase });
          const summary = canonicalJson(summaryOf(next.value));
          const sql = "INSERT OR REPLACE INTO windows VALUES (?, ?, ?, ?)";
          this.#database.prepare(sql).run(window, phase, summary, state);
        }
        this.#database.exec("COMMIT");
        return next;
      } catch (caught) {
        this.#database.exec("ROLLBACK");
        throw caught;
      }
    });
  }

  close(): void {
    this.#database.close();
  }

  #all(sql: string, ...values: readonly number[]): readonly Row[] {
    return attempt("reading", () => this.#database.prepare(sql).all(...values));
  }
}

function summaryOf({ window, lastRound, phase, commits, reveals }: ScoreWindow): WindowSummary {
  const [committed, revealed] = [[...commits.keys()], [...reveals.keys()]];
  return { window, lastRound, phase, committed, revealed };
}

function summaryIn(row: Row): WindowSummary {
  const decoded = summaryDecoder(JSON.parse(String(row["summary"])));
  assert(decoded.ok, "the store's summaries were summaries when they were stored");
  return decoded.value;
}

function windowIn(row: Row): ScoreWindow {
  const decoded = stateDecoder(JSON.parse(String(row["state"])));
  assert(decoded.ok, "the store's windows were windows when they were stored");
  const { commits, reveals, ...rest }: State = decoded.value;
  return {
    ...rest,
    commits: new Map(commits.map((one) => [one.validator, one])),
    reveals: new Map(reveals.map((one) => [one.validator, one])),
  };
}

function attempt<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new JournalError(`the validators' scores (${doing}): ${messageOf(cause)}`, {
      cause,
      hint: "They are in scores.sqlite in the run's folder, and in the bundles of settlements.",
    });
  }
}
