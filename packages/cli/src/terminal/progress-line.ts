// One line of a terminal that tells how far a download is, rewritten in place; where there is no
// terminal, a line per file. It deliberately measures no time.
import type { HubProgress } from "@manyhands/hub/resolve";
import { bytesText } from "./format.ts";
import type { Output } from "./io.ts";

const COLUMNS = 80;
const BAR_CHARS = 20;
const CLEAR_LINE = "\r\u001b[K";

/** `[##########          ] 50 % · 1.0 MB of 2.0 MB · 1/4 model.safetensors, continued` */
function progressText(progress: HubProgress): string {
  const { bytes, total, file, files, fileCount, resumed } = progress;
  const share = total === 0 ? 1 : bytes / total;
  const bar = "#".repeat(Math.floor(share * BAR_CHARS)).padEnd(BAR_CHARS);
  const size = `${bytesText(bytes)} of ${bytesText(total)}`;
  const which = `${files + 1}/${fileCount} ${file}${resumed ? ", continued" : ""}`;
  return `[${bar}] ${Math.floor(share * 100)} % · ${size} · ${which}`;
}

/** Shows progress on an output until it is ended. */
export class ProgressLine {
  readonly #output: Output;
  #file = "";
  #percent = -1;
  #open = false;

  constructor(output: Output) {
    this.#output = output;
  }

  show(progress: HubProgress): void {
    const percent = Math.floor((100 * progress.bytes) / Math.max(1, progress.total));
    const { isTTY, columns = COLUMNS } = this.#output;
    if (isTTY) {
      if (percent === this.#percent && progress.file === this.#file) return;
      this.#output.write(CLEAR_LINE + progressText(progress).slice(0, columns - 1));
      this.#open = true;
    } else if (progress.fileBytes === progress.fileTotal) {
      this.#output.write(`${progressText(progress)}\n`);
    }
    this.#percent = percent;
    this.#file = progress.file;
  }

  end(): void {
    if (this.#open) this.#output.write(CLEAR_LINE);
    this.#open = false;
  }
}
