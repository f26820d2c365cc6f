// What a settler has done and is about to do, in one SQLite file (synchronous=FULL): each thing is
// in it before the next step begins, so that a killed process goes on where it was.
// Not the truth about money: that is the chain's.
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { messageOf } from "@manyhands/base/errors";
import { type Address, getAddress, type Hex } from "viem";
import { JournalError } from "./errors.ts";

const SCHEMA = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS settlements (
    sequence INTEGER PRIMARY KEY, round INTEGER NOT NULL, bundle TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS signatures (
    sequence INTEGER NOT NULL, attestor TEXT NOT NULL, signature TEXT NOT NULL,
    PRIMARY KEY (sequence, attestor)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS transactions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, purpose TEXT NOT NULL, sender TEXT NOT NULL,
    nonce INTEGER NOT NULL, hash TEXT NOT NULL UNIQUE, raw TEXT NOT NULL, state TEXT NOT NULL,
    block INTEGER NOT NULL DEFAULT 0
  ) STRICT;
`;

/**
 * signed: maybe sent, not yet final · mined: it happened · failed: it reverted · dead: another
 * transaction has its nonce, so it can never happen. Several of one nonce are one transaction at
 * different fees: whichever is mined counts.
 */
export type TransactionState = "signed" | "mined" | "failed" | "dead";

export type Transaction = {
  /** What it is for; at most one nonce of a purpose is signed or mined. */
  readonly purpose: string;
  readonly sender: Address;
  readonly nonce: number;
  readonly hash: Hex;
  readonly raw: Hex;
  readonly state: TransactionState;
  /** The chain's newest block when it was signed. */
  readonly block: number;
};

export type StoredSettlement = {
  readonly sequence: number;
  readonly round: number;
  /** The bundle's canonical text. */
  readonly bundle: string;
};

type Row = { readonly [column: string]: unknown };

export class Journal {
  readonly #database: DatabaseSync;
  readonly #lock: DatabaseSync | null;

  private constructor(database: DatabaseSync, lock: DatabaseSync | null) {
    this.#database = database;
    this.#lock = lock;
  }

  /**
   * For the one process that settles.
   *
   * @param waitMs for another one to end. Default 0
   * @throws JournalError if another one is settling
   */
  static open(path: string, waitMs = 0): Journal {
    const lock = attempt(path, () => new DatabaseSync(`${path}.lock`, { timeout: waitMs }));
    try {
      lock.exec("BEGIN EXCLUSIVE");
    } catch (cause) {
      lock.close();
      throw new JournalError("another process is settling this run", {
        cause,
        hint: "Wait until the other one is done; a coordinator with --chain settles by itself.",
      });
    }
    return new Journal(opened(path), lock);
  }

  /** Beside the one that settles: to look, and to add signatures. @throws JournalError */
  static beside(path: string): Journal {
    return new Journal(opened(path), null);
  }

  fact(key: string): string | null {
    const row = this.#get("SELECT value FROM facts WHERE key = ?", key);
    return row ? String(row["value"]) : null;
  }

  putFact(key: string, value: string): void {
    this.#run("INSERT OR REPLACE INTO facts VALUES (?, ?)", key, value);
  }

  /** Oldest first. */
  settlements(): readonly StoredSettlement[] {
    return this.#all("SELECT * FROM settlements ORDER BY sequence").map(storedOf);
  }

  /** The same without their texts, which are long where many are paid. */
  settlementPlaces(): readonly Omit<StoredSettlement, "bundle">[] {
    const rows = this.#all("SELECT sequence, round FROM settlements ORDER BY sequence");
    return rows.map(({ sequence, round }) => ({
      sequence: Number(sequence),
      round: Number(round),
    }));
  }

  settlement(sequence: number): StoredSettlement | undefined {
    if (!Number.isSafeInteger(sequence)) return undefined;
    const row = this.#get("SELECT * FROM settlements WHERE sequence = ?", sequence);
    return row && storedOf(row);
  }

  newestSettlement(): StoredSettlement | undefined {
    const row = this.#get("SELECT * FROM settlements ORDER BY sequence DESC LIMIT 1");
    return row && storedOf(row);
  }

  /** Never replaced: what attestors may have signed stays what it was. */
  putSettlement({ sequence, round, bundle }: StoredSettlement): void {
    this.#run("INSERT INTO settlements VALUES (?, ?, ?)", sequence, round, bundle);
  }

  /** By attestor. */
  signatures(sequence: number): ReadonlyMap<Address, Hex> {
    const rows = this.#all("SELECT * FROM signatures WHERE sequence = ?", sequence);
    return new Map(
      rows.map((row) => [getAddress(String(row["attestor"])), hexOf(row["signature"])]),
    );
  }

  putSignature(sequence: number, attestor: Address, signature: Hex): void {
    const sql = "INSERT OR IGNORE INTO signatures VALUES (?, ?, ?)";
    this.#run(sql, sequence, attestor.toLowerCase(), signature);
  }

  /** The newest of this purpose that is signed or mined. */
  transaction(purpose: string): Transaction | undefined {
    const alive = "purpose = ? AND state IN ('signed', 'mined')";
    return this.#transactions(alive, purpose).at(-1);
  }

  /** Oldest first. */
  transactions(): readonly Transaction[] {
    return this.#transactions("TRUE");
  }

  /** Those that may still happen, oldest first. */
  unfinished(): readonly Transaction[] {
    return this.#transactions("state = 'signed'");
  }

  /** The newest of this account's that was mined, whatever became of it. */
  lastEnded(sender: Address): Transaction | undefined {
    const ended = "sender = ? AND state IN ('mined', 'failed')";
    const last = `id = (SELECT MAX(id) FROM transactions WHERE ${ended})`;
    return this.#transactions(last, sender)[0];
  }

  /** Those of the same purpose and nonce: it, and what was to take its place. Oldest first. */
  attempts({ purpose, sender, nonce }: Transaction): readonly Transaction[] {
    const one = "purpose = ? AND sender = ? AND nonce = ?";
    return this.#transactions(one, purpose, sender, nonce);
  }

  #transactions(where: string, ...values: SQLInputValue[]): readonly Transaction[] {
    const sql = `SELECT * FROM transactions WHERE ${where} ORDER BY id`;
    return this.#all(sql, ...values).map((row) => ({
      purpose: String(row["purpose"]),
      sender: hexOf(row["sender"]),
      nonce: Number(row["nonce"]),
      hash: hexOf(row["hash"]),
      raw: hexOf(row["raw"]),
      state: String(row["state"]) as TransactionState,
      block: Number(row["block"]),
    }));
  }

  putTransaction(given: Omit<Transaction, "state">): void {
    const { purpose, sender, nonce, hash, raw, block } = given;
    const columns = "(purpose, sender, nonce, hash, raw, block, state)";
    const sql = `INSERT INTO transactions ${columns} VALUES (?, ?, ?, ?, ?, ?, 'signed')`;
    this.#run(sql, purpose, sender, nonce, hash, raw, block);
  }

  putState(hash: Hex, state: TransactionState): void {
    this.#run("UPDATE transactions SET state = ? WHERE hash = ?", state, hash);
  }

  close(): void {
    this.#database.close();
    this.#lock?.close();
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    attempt("writing", () => this.#database.prepare(sql).run(...values));
  }

  #get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return attempt("reading", () => this.#database.prepare(sql).get(...values));
  }

  #all(sql: string, ...values: SQLInputValue[]): readonly Row[] {
    return attempt("reading", () => this.#database.prepare(sql).all(...values));
  }
}

function storedOf(row: Row): StoredSettlement {
  const { sequence, round, bundle } = row;
  return { sequence: Number(sequence), round: Number(round), bundle: String(bundle) };
}

function opened(path: string): DatabaseSync {
  return attempt(path, () => {
    const database = new DatabaseSync(path, { timeout: 5_000 });
    database.exec(SCHEMA);
    return database;
  });
}

function attempt<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new JournalError(`the settlements' journal (${doing}): ${messageOf(cause)}`, {
      cause,
      hint: "It is settle.sqlite in the run's folder. What was paid is on the chain all the same.",
    });
  }
}

function hexOf(value: unknown): Hex {
  return String(value) as Hex;
}
