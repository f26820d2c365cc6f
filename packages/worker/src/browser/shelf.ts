// Where a page keeps things by key, each replaced as a whole: IndexedDB, or only this tab's memory
// where the browser gives none. Not files: what is large and can be fetched again is blob-cache.ts.
import { messageOf } from "@manyhands/base/errors";
import { StorageError } from "../host/errors.ts";
import { rest } from "./sleep.ts";

export interface Shelf {
  /** Whether what is put here is there after a reload. */
  readonly lasts: boolean;
  get(key: string): Promise<unknown>;
  /** Resolves when the value is stored. `durable`: also after a power cut. */
  put(key: string, value: unknown, options?: { readonly durable?: boolean }): Promise<void>;
  delete(key: string): Promise<void>;
  /** Keys that begin so, in order. */
  keys(prefix: string): Promise<string[]>;
}

export class MemoryShelf implements Shelf {
  readonly lasts = false;
  readonly #values = new Map<string, unknown>();

  async get(key: string): Promise<unknown> {
    return this.#values.get(key);
  }

  async put(key: string, value: unknown): Promise<void> {
    this.#values.set(key, structuredClone(value));
  }

  async delete(key: string): Promise<void> {
    this.#values.delete(key);
  }

  async keys(prefix: string): Promise<string[]> {
    const keys = [...this.#values.keys()].filter((key) => key.startsWith(prefix));
    return keys.toSorted((a, b) => (a < b ? -1 : 1));
  }
}

const STORE = "things";
const TRIES_MAX = 5;
const REOPEN_MS = 100;
const OPEN_MS_MAX = 5_000;

class IndexedDbShelf implements Shelf {
  readonly lasts = true;
  readonly #name: string;
  #database: Promise<IDBDatabase>;
  #current: IDBDatabase | null = null;

  private constructor(name: string, database: IDBDatabase) {
    this.#name = name;
    this.#database = Promise.resolve(this.#watched(database));
  }

  /** @throws StorageError where the browser has no database for this page */
  static async open(name: string): Promise<IndexedDbShelf> {
    try {
      return new IndexedDbShelf(name, await openDatabase(name));
    } catch (cause) {
      throw storageError("this browser keeps nothing for this page", cause);
    }
  }

  /** Somebody who clears the site's data closes the database: the next call begins an empty one. */
  #watched(database: IDBDatabase): IDBDatabase {
    database.onversionchange = () => this.#reopen(database);
    database.onclose = () => this.#reopen(database);
    this.#current = database;
    return database;
  }

  /** Once for each database that was lost, whoever notices first. */
  #reopen(lost: IDBDatabase | null): void {
    lost?.close();
    if (this.#current !== lost) return;
    this.#current = null;
    this.#database = openDatabase(this.#name).then((opened) => this.#watched(opened));
    // Whoever asks next hears of it.
    this.#database.catch(() => undefined);
  }

  get(key: string): Promise<unknown> {
    return this.#do("readonly", "read", (store) => store.get(key));
  }

  async put(key: string, value: unknown, options: { durable?: boolean } = {}): Promise<void> {
    const durability = options.durable ? "strict" : "relaxed";
    await this.#do("readwrite", "kept", (store) => store.put(value, key), durability);
  }

  async delete(key: string): Promise<void> {
    await this.#do("readwrite", "removed", (store) => store.delete(key));
  }

  async keys(prefix: string): Promise<string[]> {
    const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
    const keys = await this.#do("readonly", "listed", (store) => store.getAllKeys(range));
    return keys.map(String);
  }

  async #do<T>(
    mode: IDBTransactionMode,
    verb: string,
    ask: (store: IDBObjectStore) => IDBRequest<T>,
    durability: IDBTransactionDurability = "default",
  ): Promise<T> {
    for (let tries = 1; ; tries++) {
      const used = this.#database;
      try {
        const transaction = (await used).transaction(STORE, mode, { durability });
        const request = ask(transaction.objectStore(STORE));
        await ended(transaction);
        return request.result;
      } catch (cause) {
        if (!isClosed(cause) || tries >= TRIES_MAX) {
          throw storageError(`what this page keeps could not be ${verb}`, cause);
        }
        // Clearing takes a while, and closes what is opened meanwhile.
        await rest(REOPEN_MS * tries);
        if (this.#database === used) this.#reopen(this.#current);
      }
    }
  }
}

/** While a site's data is cleared, an opening may be left without an answer: that is an end too. */
function openDatabase(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      reject(new DOMException("the database did not open", "AbortError"));
    }, OPEN_MS_MAX);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => {
      clearTimeout(timer);
      if (isLate) request.result.close();
      resolve(request.result);
    };
    request.onerror = () => {
      clearTimeout(timer);
      reject(request.error);
    };
  });
}

/** A transaction's success is its end: only then is everything in the database. */
function ended(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    const { db } = transaction;
    const over = (): void => db.removeEventListener("close", onClose);
    // A database that is closed under a transaction aborts it without a reason, or not even that.
    const onClose = (): void => {
      over();
      reject(transaction.error ?? new DOMException("the database was closed", "AbortError"));
    };
    db.addEventListener("close", onClose);
    transaction.onabort = onClose;
    transaction.oncomplete = () => {
      over();
      resolve();
    };
  });
}

/** The database was closed before or while we used it: its data was cleared. */
function isClosed(caught: unknown): boolean {
  return caught instanceof Error && /^(?:Abort|InvalidState|Unknown)Error$/.test(caught.name);
}

function isQuotaError(caught: unknown): boolean {
  return caught instanceof Error && caught.name === "QuotaExceededError";
}

export function storageError(what: string, cause: unknown): StorageError {
  if (isQuotaError(cause)) {
    return new StorageError(`${what}: the browser gives this page no more storage`, {
      cause,
      hint: "free some space on the device, or remove data of other sites in the browser",
    });
  }
  return new StorageError(`${what}: ${messageOf(cause)}`, {
    cause,
    hint: "reload the page; a private window may keep nothing at all",
  });
}

/** The page's own shelf; in a private window perhaps only memory, with a sentence about it. */
export async function openShelf(name: string, notice: (text: string) => void): Promise<Shelf> {
  try {
    return await IndexedDbShelf.open(name);
  } catch (caught) {
    notice(`${messageOf(caught)}. This device takes part, but a reload makes it a new one.`);
    return new MemoryShelf();
  }
}
