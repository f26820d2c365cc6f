// The log in one SQLite file: WAL, synchronous=FULL, one row per event; a commit returns after its
// fsync. Not a database to query: reading it means folding it.
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { fromHex, toHex, utf8 } from "@manyhands/base/bytes";
import { canonicalJson, type Json } from "@manyhands/base/canonical";
import { messageOf } from "@manyhands/base/errors";
import { hashLeaf, sha256 } from "@manyhands/base/hash";
import type { RunEvent } from "@manyhands/protocol/events";
import type { RunId } from "@manyhands/protocol/run-config";
import { CorruptLogError, DiskError, LogConflictError, sqliteCodeOf } from "../errors.ts";
import { EMPTY_LOG, type Log, type LogHead, type LogRow, type Sign, sealRows } from "./log.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS log (
    sequence INTEGER PRIMARY KEY,
    event TEXT NOT NULL,
    entry TEXT NOT NULL,
    previousHead TEXT NOT NULL,
    head TEXT NOT NULL,
    signature TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS side (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    hash TEXT NOT NULL
  ) STRICT;
`;

/** A side value as it is stored; its hash tells a flipped byte. */
export type SideRow = { readonly key: string; readonly value: string; readonly hash: string };

export function sideHash(key: string, value: string): string {
  return toHex(hashLeaf("manyhands/side/v1", sha256(utf8(key)), sha256(utf8(value))));
}

export class SqliteLog implements Log {
  readonly #database: DatabaseSync;
  readonly #signer: { readonly runId: RunId; readonly sign: Sign };
  readonly #insert: StatementSync;
  readonly #select: StatementSync;
  readonly #selectSide: StatementSync;
  readonly #putSide: StatementSync;
  #head: LogHead;

  /** @throws CorruptLogError if the file is no sound SQLite database */
  constructor(path: string, signer: { readonly runId: RunId; readonly sign: Sign }) {
    this.#signer = signer;
    this.#database = openDatabase(path);
    this.#insert = this.#database.prepare("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)");
    this.#select = this.#database.prepare(SELECT_ROWS);
    this.#selectSide = this.#database.prepare("SELECT * FROM side WHERE key = ?");
    this.#putSide = this.#database.prepare("INSERT OR REPLACE INTO side VALUES (?, ?, ?)");
    this.#head = corruptOnError(() => lastHead(this.#database));
  }

  append(expectedHead: string, events: readonly RunEvent[]): readonly LogRow[] {
    if (this.#head.head !== expectedHead) {
      throw new LogConflictError(expectedHead, this.#head.head);
    }
    const rows = sealRows(events, this.#head, this.#signer);
    this.#transaction("appending to log.sqlite", () => {
      for (const row of rows) {
        const { sequence, event, entry, previousHead, head, signature } = row;
        this.#insert.run(sequence, event, entry, previousHead, head, signature);
      }
    });
    const last = rows.at(-1);
    if (last) this.#head = { length: last.sequence + 1, head: last.head };
    return rows;
  }

  rows(from: number, limit: number): readonly LogRow[] {
    return corruptOnError(() => this.#select.all(from, limit).map(rowOf));
  }

  head(): LogHead {
    return this.#head;
  }

  sideValue(key: string): Json | null {
    const row = corruptOnError(() => this.#selectSide.get(key));
    if (row === undefined) return null;
    const { value, hash } = sideRowOf(row);
    if (hash !== sideHash(key, value)) {
      throw new CorruptLogError(null, `the side value "${key}" does not have its hash`);
    }
    return JSON.parse(value) as Json;
  }

  putSideValue(key: string, value: Json): void {
    const text = canonicalJson(value);
    this.#transaction("writing to log.sqlite", () => {
      this.#putSide.run(key, text, sideHash(key, text));
    });
  }

  /** Leaves one plain file behind: no WAL, no index beside it. */
  close(): void {
    if (!this.#database.isOpen) return;
    try {
      this.#database.exec("PRAGMA journal_mode = DELETE");
    } catch (error) {
      throw new DiskError("closing log.sqlite", error);
    } finally {
      this.#database.close();
    }
  }

  #transaction(doing: string, work: () => void): void {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      // Some failures (a full disk) have rolled back already; then there is nothing left to undo.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      if (DAMAGE.has(sqliteCodeOf(error) ?? 0)) {
        throw new CorruptLogError(null, messageOf(error), { cause: error });
      }
      throw new DiskError(doing, error);
    }
  }
}

/**
 * SQLITE_CORRUPT, SQLITE_CONSTRAINT (the row is there already), SQLITE_NOTADB: waiting won't help.
 */
const DAMAGE = new Set([11, 19, 26]);

const SELECT_ROWS = `SELECT sequence, event, entry, previousHead, head, signature
  FROM log WHERE sequence >= ? ORDER BY sequence LIMIT ?`;

function openDatabase(path: string): DatabaseSync {
  return corruptOnError(() => {
    const database = new DatabaseSync(path, { timeout: 2_000 });
    try {
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
      database.exec(SCHEMA);
    } catch (error) {
      database.close();
      throw error;
    }
    return database;
  });
}

function lastHead(database: DatabaseSync): LogHead {
  const row = database
    .prepare("SELECT sequence, head FROM log ORDER BY sequence DESC LIMIT 1")
    .get();
  if (row === undefined) return EMPTY_LOG;
  const length = Number(row["sequence"]) + 1;
  const head = String(row["head"]);
  // Checked here as bytes, because the next row is built upon it; the fold checks that it is the
  // right one.
  if (!/^[0-9a-f]{64}$/.test(head))
    throw new CorruptLogError(length - 1, "head is not 32 bytes in hex");
  fromHex(head);
  return { length, head };
}

function corruptOnError<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof CorruptLogError) throw error;
    throw new CorruptLogError(null, messageOf(error), { cause: error });
  }
}

type SqliteRow = { readonly [column: string]: unknown };

function rowOf(row: SqliteRow): LogRow {
  return {
    sequence: Number(row["sequence"]),
    event: String(row["event"]),
    entry: String(row["entry"]),
    previousHead: String(row["previousHead"]),
    head: String(row["head"]),
    signature: String(row["signature"]),
  };
}

function sideRowOf(row: SqliteRow): SideRow {
  return { key: String(row["key"]), value: String(row["value"]), hash: String(row["hash"]) };
}

/** What `verify` reads: the whole file, read only, without changing a byte of it. */
export class SqliteLogReader {
  readonly #database: DatabaseSync;

  /** @throws CorruptLogError if the file is no sound SQLite database */
  constructor(path: string) {
    this.#database = corruptOnError(() => new DatabaseSync(path, { readOnly: true }));
  }

  rows(from: number, limit: number): readonly LogRow[] {
    return corruptOnError(() => this.#database.prepare(SELECT_ROWS).all(from, limit).map(rowOf));
  }

  sideRows(): readonly SideRow[] {
    return corruptOnError(() =>
      this.#database.prepare("SELECT * FROM side ORDER BY key").all().map(sideRowOf),
    );
  }

  /** SQLite's own check of its pages and indices; empty if they are sound. */
  integrityProblems(): readonly string[] {
    const found = corruptOnError(() => this.#database.prepare("PRAGMA integrity_check").all());
    return found.map((row) => String(row["integrity_check"])).filter((text) => text !== "ok");
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }
}
