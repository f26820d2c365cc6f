// A block of lines that is redrawn in place at the end of a terminal's output. Knows escape
// sequences, not what the lines say.

export type Terminal = {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
};

const ESCAPE = String.fromCharCode(27);
const HIDE_CURSOR = `${ESCAPE}[?25l`;
const SHOW_CURSOR = `${ESCAPE}[?25h`;
const CLEAR_BELOW = `${ESCAPE}[0J`;
const CLEAR_LINE_REST = `${ESCAPE}[0K`;

export class LiveScreen {
  readonly #terminal: Terminal;
  #height = 0;
  #isOpen = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  get width(): number {
    return this.#terminal.columns ?? 80;
  }

  get height(): number {
    return this.#terminal.rows ?? 24;
  }

  /** Replaces the block. Lines must not be wider than the terminal. */
  draw(lines: readonly string[]): void {
    const open = this.#isOpen ? "" : HIDE_CURSOR;
    this.#isOpen = true;
    const body = lines.map((line) => `${line}${CLEAR_LINE_REST}\n`).join("");
    this.#terminal.write(`${open}${this.#backToTop()}${body}${CLEAR_BELOW}`);
    this.#height = lines.length;
  }

  /** Prints lines that stay, above the block. */
  printAbove(text: string): void {
    this.#terminal.write(`${this.#backToTop()}${CLEAR_BELOW}${text}\n`);
    this.#height = 0;
  }

  /** Leaves the newest picture where it is and gives the cursor back. */
  close(): void {
    if (this.#isOpen) this.#terminal.write(SHOW_CURSOR);
    this.#isOpen = false;
    this.#height = 0;
  }

  #backToTop(): string {
    return this.#height > 0 ? `${ESCAPE}[${this.#height}A\r` : "";
  }
}
