// Blocks, transactions, receipts, logs and the nodes of the state's trees, in one SQLite file.
// It deliberately knows no EVM: a block comes with all its rows, and is written as a whole or not.
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import type { BatchDBOp, DB } from "@ethereumjs/util";
import { assert } from "@manyhands/base/assert";
import { InputError, messageOf } from "@manyhands/base/errors";

const SCHEMA = `
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA busy_timeout = 0;
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS nodes (
    key TEXT PRIMARY KEY, value TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS blocks (
    number INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, stateRoot TEXT NOT NULL,
    body TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS transactions (
    hash TEXT PRIMARY KEY, block INTEGER NOT NULL, place INTEGER NOT NULL, body TEXT NOT NULL,
    receipt TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS transactionsOfBlock ON transactions (block, place);
  CREATE TABLE IF NOT EXISTS logs (
    block INTEGER NOT NULL, place INTEGER NOT NULL, address TEXT NOT NULL, topic0 TEXT,
    body TEXT NOT NULL,
    PRIMARY KEY (block, place)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS logsOfAddress ON logs (address, topic0, block);
  CREATE TABLE IF NOT EXISTS waiting (
    hash TEXT PRIMARY KEY, sender TEXT NOT NULL, nonce INTEGER NOT NULL, raw TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

/** Rows of a block, as the RPC gives them: texts of JSON. */
export type BlockRows = {
  readonly number: number;
  readonly hash: string;
  readonly stateRoot: string;
  readonly body: string;
  readonly transactions: readonly {
    readonly hash: string;
    readonly body: string;
    readonly receipt: string;
  }[];
  readonly logs: readonly {
    readonly address: string;
    readonly topic0: string | undefined;
    readonly body: string;
  }[];
};

export type WaitingRow = {
  readonly hash: string;
  readonly sender: string;
  readonly nonce: number;
  readonly raw: string;
};

export type LogFilter = {
  readonly from: number;
  readonly to: number;
  readonly addresses: readonly string[];
  readonly topic0: readonly string[];
  readonly limit: number;
};

export class ChainStore {
  readonly #db: DatabaseSync;
  /** Nodes of blocks that are not written yet. */
  readonly #fresh = new Map<string, string>();
  readonly nodes: DB<string, string>;

  constructor(path: string) {
    this.#db = openDatabase(path);
    this.nodes = new NodeTable(this.#db, this.#fresh);
  }

  meta(key: string): string | undefined {
    return this.#one("SELECT value FROM meta WHERE key = ?", key)?.["value"] as string | undefined;
  }

  setMeta(key: string, value: string): void {
    this.#db.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)").run(key, value);
  }

  /** Durable when it returns: the nodes that are new, the block, and nothing in between. */
  addBlock(rows: BlockRows): void {
    this.#atomically(() => {
      const node = this.#db.prepare("INSERT OR REPLACE INTO nodes VALUES (?, ?)");
      for (const [key, value] of this.#fresh) node.run(key, value);
      this.#db
        .prepare("INSERT INTO blocks VALUES (?, ?, ?, ?)")
        .run(rows.number, rows.hash, rows.stateRoot, rows.body);
      const transaction = this.#db.prepare("INSERT INTO transactions VALUES (?, ?, ?, ?, ?)");
      const arrived = this.#db.prepare("DELETE FROM waiting WHERE hash = ?");
      for (const [place, { hash, body, receipt }] of rows.transactions.entries()) {
        transaction.run(hash, rows.number, place, body, receipt);
        arrived.run(hash);
      }
      const log = this.#db.prepare("INSERT INTO logs VALUES (?, ?, ?, ?, ?)");
      for (const [place, { address, topic0, body }] of rows.logs.entries()) {
        log.run(rows.number, place, address, topic0 ?? null, body);
      }
    });
    this.#fresh.clear();
  }

  /** Forgets what was computed for a block that is not to be. */
  dropFresh(): void {
    this.#fresh.clear();
  }

  addWaiting({ hash, sender, nonce, raw }: WaitingRow): void {
    this.#db
      .prepare("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?)")
      .run(hash, sender, nonce, raw);
  }

  removeWaiting(hash: string): void {
    this.#db.prepare("DELETE FROM waiting WHERE hash = ?").run(hash);
  }

  waiting(): readonly WaitingRow[] {
    const rows = this.#db.prepare("SELECT * FROM waiting ORDER BY sender, nonce").all();
    return rows as unknown as WaitingRow[];
  }

  head():
    | { readonly number: number; readonly stateRoot: string; readonly body: string }
    | undefined {
    const row = this.#one("SELECT * FROM blocks ORDER BY number DESC LIMIT 1");
    return row as { number: number; stateRoot: string; body: string } | undefined;
  }

  block(number: number): { readonly stateRoot: string; readonly body: string } | undefined {
    const row = this.#one("SELECT * FROM blocks WHERE number = ?", number);
    return row as { stateRoot: string; body: string } | undefined;
  }

  blockByHash(hash: string): { readonly number: number; readonly body: string } | undefined {
    const row = this.#one("SELECT * FROM blocks WHERE hash = ?", hash);
    return row as { number: number; body: string } | undefined;
  }

  transactionsOf(block: number): readonly { readonly hash: string; readonly body: string }[] {
    const rows = this.#db
      .prepare("SELECT hash, body FROM transactions WHERE block = ? ORDER BY place")
      .all(block);
    return rows as unknown as { hash: string; body: string }[];
  }

  transaction(hash: string): { readonly body: string; readonly receipt: string } | undefined {
    const row = this.#one("SELECT body, receipt FROM transactions WHERE hash = ?", hash);
    return row as { body: string; receipt: string } | undefined;
  }

  logs({ from, to, addresses, topic0, limit }: LogFilter): readonly string[] {
    const marks = (values: readonly string[]): string => values.map(() => "?").join(",");
    const conditions = ["block BETWEEN ? AND ?"];
    if (addresses.length > 0) conditions.push(`address IN (${marks(addresses)})`);
    if (topic0.length > 0) conditions.push(`topic0 IN (${marks(topic0)})`);
    const rows = this.#db
      .prepare(
        `SELECT body FROM logs WHERE ${conditions.join(" AND ")} ORDER BY block, place LIMIT ?`,
      )
      .all(from, to, ...addresses, ...topic0, limit);
    return rows.map((row) => String(row["body"]));
  }

  /** A copy in another file, whole at any moment. */
  backup(path: string): void {
    this.#db.prepare("VACUUM INTO ?").run(path);
  }

  close(): void {
    this.#db.close();
  }

  #one(sql: string, ...values: SQLInputValue[]): Record<string, unknown> | undefined {
    return this.#db.prepare(sql).get(...values);
  }

  #atomically(work: () => void): void {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#db.exec("COMMIT");
    } catch (caught) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw caught;
    }
  }
}

/** @throws InputError if it is no database, or another process has it */
function openDatabase(path: string): DatabaseSync {
  try {
    const db = new DatabaseSync(path);
    db.exec(SCHEMA);
    return db;
  } catch (cause) {
    const isLocked = /locked|busy/i.test(messageOf(cause));
    const why = isLocked ? "another process has it open" : messageOf(cause);
    const hint = isLocked ? "end that process, or use another folder" : "use another folder";
    throw new InputError(`the chain in ${path} cannot be opened: ${why}`, { cause, hint });
  }
}

/** The trees' view: what is fresh is in memory until its block is written. */
class NodeTable implements DB<string, string> {
  readonly #db: DatabaseSync;
  readonly #fresh: Map<string, string>;

  constructor(db: DatabaseSync, fresh: Map<string, string>) {
    this.#db = db;
    this.#fresh = fresh;
  }

  async get(key: string): Promise<string | undefined> {
    const fresh = this.#fresh.get(key);
    if (fresh !== undefined) return fresh;
    const row = this.#db.prepare("SELECT value FROM nodes WHERE key = ?").get(key);
    return row?.["value"] as string | undefined;
  }

  async put(key: string, value: string): Promise<void> {
    assert(typeof value === "string", "nodes are stored as texts");
    this.#fresh.set(key, value);
  }

  /** Old nodes are kept: they are the state of old blocks. */
  async del(): Promise<void> {
    // Nothing is removed.
  }

  async batch(operations: BatchDBOp<string, string>[]): Promise<void> {
    for (const operation of operations) {
      if (operation.type === "put") await this.put(operation.key, operation.value);
    }
  }

  shallowCopy(): DB<string, string> {
    return this;
  }

  async open(): Promise<void> {
    // It is open.
  }
}
