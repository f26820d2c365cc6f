// Bytes of one day, kept as a record: what the daily cap is measured against.
// Not the run's traffic: that is counted per run, and never begins anew.
import { type Decoded, integer, object, text } from "@manyhands/base/decode";

export const dataTodayDecoder = object({ day: text(10), bytes: integer(0) });

export type DataToday = Readonly<Decoded<typeof dataTodayDecoder>>;

/** @param day the local date, such as 2026-11-21; any other than the kept one begins anew */
export function addBytes(today: DataToday, day: string, bytes: number): DataToday {
  return { day, bytes: bytes + (today.day === day ? today.bytes : 0) };
}
