// A run's kept files on a shelf: each a record that is replaced in one transaction, so it is whole
// or not there at all. Not the form on disk: Node's files carry a checksum, a database has its own.
import type { Json } from "@manyhands/base/canonical";
import type { ReadFile, RunFiles, StateFile } from "../host/ports.ts";
import type { Shelf } from "./shelf.ts";

const FORM = "manyhands worker state 1";
/** Losing one of these loses work. */
const MUST_LAST: readonly StateFile[] = ["residual", "update"];

export class KeptFiles implements RunFiles {
  readonly #shelf: Shelf;
  readonly #runId: string;
  #receipts: number | null = null;

  constructor(shelf: Shelf, runId: string) {
    this.#shelf = shelf;
    this.#runId = runId;
  }

  async read(file: StateFile, notice: (sentence: string) => void): Promise<ReadFile | null> {
    const key = this.#key(file);
    const record = await this.#shelf.get(key);
    if (record === undefined) return null;
    const content = contentOf(record);
    if (content) return content;
    await this.#shelf.put(`${key}.damaged`, record);
    await this.#shelf.delete(key);
    notice(`The kept ${file} has another form than expected; it is set aside.`);
    return null;
  }

  async write(file: StateFile, header: Json, parts: readonly Uint8Array[]): Promise<void> {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const payload = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      payload.set(part, at);
      at += part.length;
    }
    const durable = MUST_LAST.includes(file);
    await this.#shelf.put(this.#key(file), { form: FORM, header, payload }, { durable });
  }

  async remove(file: StateFile): Promise<void> {
    await this.#shelf.delete(this.#key(file));
  }

  async addReceipt(receipt: Json): Promise<void> {
    const prefix = `run/${this.#runId}/receipt/`;
    this.#receipts ??= (await this.#shelf.keys(prefix)).length;
    await this.#shelf.put(`${prefix}${String(this.#receipts).padStart(8, "0")}`, receipt);
    this.#receipts += 1;
  }

  #key(file: StateFile): string {
    return `run/${this.#runId}/${file}`;
  }
}

function contentOf(record: unknown): ReadFile | null {
  if (typeof record !== "object" || record === null) return null;
  const payload: unknown = Reflect.get(record, "payload");
  if (Reflect.get(record, "form") !== FORM || !(payload instanceof Uint8Array)) return null;
  return { header: Reflect.get(record, "header"), payload };
}
