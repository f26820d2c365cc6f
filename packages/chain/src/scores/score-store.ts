// A run's windows in one SQLite file (synchronous=FULL): what a validator said is in it before it
// is told that it was taken. Not what may be said: score-window.ts.
import { DatabaseSync } from "node:sqlite";
import { assert } from "@manyhands/base/assert";
import { canonicalJson } from "@manyhands/base/canonical";
import { type Decoded, integer, list, object, oneOf } from "@manyhands/base/decode";
import { messageOf } from "@manyhands/base/errors";
import type { Result } from "@manyhands/base/result";
import { VALIDATORS_MAX } from "@manyhands/protocol/limits";
import { JournalError } from "../settle/errors.ts";
import { commitDecoder, revealDecoder } from "./messages.ts";
import { type ScoreWindow, transcriptOf } from "./score-window.ts";

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS windows (window INTEGER PRIMARY KEY, state TEXT NOT NULL) STRICT;
`;

const stateDecoder = object({
  phase: oneOf("commit", "reveal", "closed"),
  window: integer(0),
  lastRound: integer(0),
  commits: list(commitDecoder, { max: VALIDATORS_MAX }),
  reveals: list(revealDecoder, { max: VALIDATORS_MAX }),
});
type State = Decoded<typeof stateDecoder>;

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

  /** From the first on. */
  windows(): readonly ScoreWindow[] {
    return attempt("reading", () =>
      this.#database.prepare("SELECT state FROM windows ORDER BY window").all().map(windowIn),
    );
  }

  window(window: number): ScoreWindow | null {
    return attempt("reading", () => {
      const row = this.#database.prepare("SELECT state FROM windows WHERE window = ?").get(window);
      return row ? windowIn(row) : null;
    });
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
          const text = canonicalJson({ ...transcriptOf(next.value), phase });
          const sql = "INSERT OR REPLACE INTO windows VALUES (?, ?)";
          this.#database.prepare(sql).run(window, text);
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
}

function windowIn(row: { readonly [column: string]: unknown }): ScoreWindow {
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
