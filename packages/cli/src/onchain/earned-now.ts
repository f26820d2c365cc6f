// Who has earned what by now, beside a coordinator: its own log followed from where the last look
// ended. Not checked again: the coordinator has checked each row before it wrote it.
import type { ScoreEvidence } from "@manyhands/chain/scores/evidence";
import type { Earned } from "@manyhands/chain/settle/pay-book";
import { PayBook } from "@manyhands/chain/settle/pay-book";
import { CorruptLogError } from "@manyhands/coordinator/errors";
import { decodeRow, type LogRow } from "@manyhands/coordinator/log/log";
import { SqliteLogReader } from "@manyhands/coordinator/log/sqlite-log";
import type { Pay } from "@manyhands/protocol/pay";
import type { RunState } from "@manyhands/protocol/state";
import { step } from "@manyhands/protocol/step";

/** So many at once: between them the coordinator's own work has its turn. */
const ROWS_PER_TURN = 256;

export class EarnedNow {
  readonly #path: string;
  readonly #book: PayBook;
  readonly #evidence: (() => ScoreEvidence) | null;
  #state: RunState | null = null;
  #rows = 0;
  #following: Promise<void> = Promise.resolve();

  /**
   * @param path of the log
   * @param evidence of the windows' scores, as it is then; null where accepted tokens count
   */
  constructor(path: string, pay: Pay, evidence: (() => ScoreEvidence) | null = null) {
    this.#path = path;
    this.#book = new PayBook(pay);
    this.#evidence = evidence;
  }

  /** By the log as it is now. @throws CorruptLogError */
  async earned(): Promise<readonly Earned[]> {
    this.#following = this.#following.catch(() => undefined).then(() => this.#follow());
    await this.#following;
    if (this.#evidence) this.#book.know(this.#evidence());
    return this.#book.earned();
  }

  async #follow(): Promise<void> {
    const reader = new SqliteLogReader(this.#path);
    try {
      for (;;) {
        const rows = reader.rows(this.#rows, ROWS_PER_TURN);
        for (const row of rows) this.#advance(row);
        if (rows.length < ROWS_PER_TURN) return;
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      reader.close();
    }
  }

  #advance(row: LogRow): void {
    const event = decodeRow(row);
    if (!event.ok) throw new CorruptLogError(row.sequence, event.error);
    const next = step(this.#state, event.value, { now: event.value.tick });
    if (!next.ok) throw new CorruptLogError(row.sequence, next.error.message);
    this.#state = next.value.state;
    this.#book.advance(event.value, next.value.state);
    this.#rows = row.sequence + 1;
  }
}
