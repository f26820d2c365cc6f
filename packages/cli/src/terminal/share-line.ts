// How far a file is written, rewritten in place on a terminal; nothing elsewhere. No clock.
import { bytesText } from "./format.ts";
import type { Output } from "./io.ts";

const CLEAR_LINE = "\r\u001b[K";

export class ShareLine {
  readonly #output: Output;
  #percent = -1;

  constructor(output: Output) {
    this.#output = output;
  }

  show(bytes: number, total: number): void {
    const percent = Math.floor((100 * bytes) / Math.max(1, total));
    if (!this.#output.isTTY || percent === this.#percent) return;
    this.#percent = percent;
    this.#output.write(`${CLEAR_LINE}writing ${percent} % of ${bytesText(total)}`);
  }

  end(): void {
    if (this.#percent >= 0) this.#output.write(CLEAR_LINE);
    this.#percent = -1;
  }
}
