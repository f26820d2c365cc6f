// The same work again and again, until Ctrl-C. What goes wrong is told, once, and tried again:
// coordinators and chains come back.
import { setTimeout as sleep } from "node:timers/promises";
import { ManyhandsError, messageOf } from "@manyhands/base/errors";
import { watchInterrupts } from "./interrupts.ts";
import { type Io, remark } from "./io.ts";

export async function again(seconds: number, io: Io, work: () => Promise<void>): Promise<void> {
  const interrupts = watchInterrupts();
  const { polite: signal } = interrupts;
  let trouble = "";
  try {
    while (!signal.aborted) {
      try {
        await work();
        trouble = "";
      } catch (caught) {
        if (!(caught instanceof ManyhandsError)) throw caught;
        if (messageOf(caught) !== trouble) remark(io, messageOf(caught));
        trouble = messageOf(caught);
      }
      await sleep(1_000 * seconds, undefined, { signal }).catch(() => undefined); // Ctrl-C
    }
  } finally {
    interrupts.release();
  }
}
