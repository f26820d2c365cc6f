// A log in memory: for the simulator and for tests. Nothing survives the process.
import { canonicalJson, type Json } from "@manyhands/base/canonical";
import type { RunEvent } from "@manyhands/protocol/events";
import type { RunId } from "@manyhands/protocol/run-config";
import { LogConflictError } from "../errors.ts";
import { EMPTY_LOG, type Log, type LogHead, type LogRow, type Sign, sealRows } from "./log.ts";

export class MemoryLog implements Log {
  readonly #signer: { readonly runId: RunId; readonly sign: Sign };
  readonly #rows: LogRow[] = [];
  readonly #side = new Map<string, string>();

  constructor(signer: { readonly runId: RunId; readonly sign: Sign }) {
    this.#signer = signer;
  }

  append(expectedHead: string, events: readonly RunEvent[]): readonly LogRow[] {
    const found = this.head();
    if (found.head !== expectedHead) throw new LogConflictError(expectedHead, found.head);
    const rows = sealRows(events, found, this.#signer);
    this.#rows.push(...rows);
    return rows;
  }

  rows(from: number, limit: number): readonly LogRow[] {
    return this.#rows.slice(from, from + limit);
  }

  head(): LogHead {
    const last = this.#rows.at(-1);
    return last ? { length: last.sequence + 1, head: last.head } : EMPTY_LOG;
  }

  sideValue(key: string): Json | null {
    const text = this.#side.get(key);
    return text === undefined ? null : (JSON.parse(text) as Json);
  }

  putSideValue(key: string, value: Json): void {
    this.#side.set(key, canonicalJson(value));
  }

  close(): void {
    // Memory needs no closing; the contract has it for files.
  }
}
