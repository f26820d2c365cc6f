// Bytes that this device sent and received: of a run, and of today for the daily cap. Kept, but not
// at every packet: a killed tab may lose the last seconds of the count.
import { integer, object } from "@manyhands/base/decode";
import { addBytes, type DataToday, dataTodayDecoder } from "../device/data-today.ts";
import type { Shelf } from "./shelf.ts";

const TODAY = "device/data-today";
const KEEP_MS = 3_000;

const runBytesDecoder = object({ bytes: integer(0) });

export class Traffic {
  readonly #shelf: Shelf;
  #today: DataToday = { day: localDay(), bytes: 0 };
  #run: { readonly key: string; bytes: number } | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(shelf: Shelf) {
    this.#shelf = shelf;
  }

  async restore(): Promise<void> {
    const kept = dataTodayDecoder(await this.#shelf.get(TODAY));
    if (kept.ok) this.#today = addBytes(kept.value, localDay(), this.#today.bytes);
  }

  async openRun(runId: string): Promise<void> {
    const key = `run/${runId}/traffic`;
    if (this.#run?.key === key) return;
    const kept = runBytesDecoder(await this.#shelf.get(key));
    this.#run = { key, bytes: kept.ok ? kept.value.bytes : 0 };
  }

  count({ up, down }: { readonly up: number; readonly down: number }): void {
    this.#today = addBytes(this.#today, localDay(), up + down);
    if (this.#run) this.#run.bytes += up + down;
    this.#timer ??= setTimeout(() => this.#keep(), KEEP_MS);
  }

  get today(): number {
    return addBytes(this.#today, localDay(), 0).bytes;
  }

  get ofRun(): number {
    return this.#run?.bytes ?? 0;
  }

  #keep(): void {
    this.#timer = null;
    const quiet = () => undefined;
    void this.#shelf.put(TODAY, this.#today).catch(quiet);
    if (this.#run) void this.#shelf.put(this.#run.key, { bytes: this.#run.bytes }).catch(quiet);
  }
}

/** As people here count days. */
function localDay(): string {
  const now = new Date();
  const parts = [now.getFullYear(), now.getMonth() + 1, now.getDate()];
  return parts.map((part) => String(part).padStart(2, "0")).join("-");
}

export function localMinute(): number {
  const now = new Date();
  return now.getHours() * 60 + now.getMinutes();
}
