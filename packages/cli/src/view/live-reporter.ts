// Follows a run for a person: the live view on a terminal, one line per round on a pipe. The only
// part of the view with a clock.
import type { HistoryPoint } from "@manyhands/coordinator/history";
import type { RunStatus } from "@manyhands/coordinator/status";
import type { RunEvent } from "@manyhands/protocol/events";
import { type Io, remark } from "../terminal/io.ts";
import { progressBar } from "../terminal/sparkline.ts";
import { LiveScreen } from "./live-screen.ts";
import { renderView } from "./render-view.ts";
import { roundLine } from "./round-line.ts";

const FRAME_MS = 250;
const PROGRESS_CELLS = 24;

/** What the reporter needs of a coordinator. */
export type Followed = {
  status(): RunStatus;
  history(): { readonly points: readonly HistoryPoint[] };
  onEvent(listener: (event: RunEvent) => void): () => void;
};

export type LiveReporterOptions = {
  readonly coordinator: Followed;
  readonly folder: string;
  readonly io: Io;
  /** Nothing but notices, on stderr: stdout is for a script. */
  readonly isQuiet: boolean;
};

export class LiveReporter {
  readonly #options: LiveReporterOptions;
  readonly #screen: LiveScreen | null;
  readonly #startedAt = performance.now();
  #notice: string;
  #localStates: () => ReadonlyMap<string, string> = () => new Map();
  #stopFollowing: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #lastProgress = "";

  constructor(options: LiveReporterOptions) {
    const { io, isQuiet, folder } = options;
    this.#options = options;
    this.#screen = io.stdout.isTTY && !isQuiet ? new LiveScreen(io.stdout) : null;
    this.#notice = `Ctrl-C stops politely; the run can be continued. ${folder}`;
  }

  start(localStates: () => ReadonlyMap<string, string>): void {
    this.#localStates = localStates;
    if (this.#screen) {
      this.#draw();
      this.#timer = setInterval(() => this.#draw(), FRAME_MS);
    }
    this.#stopFollowing = this.#options.coordinator.onEvent((event) => {
      if (event.type === "RoundClosed" && !this.#screen) this.#printRound();
    });
  }

  /** A line that stays. */
  say(text: string): void {
    const { io, isQuiet } = this.#options;
    if (this.#screen) this.#screen.printAbove(text);
    else if (isQuiet) remark(io, text);
    else io.stdout.write(`${text}\n`);
  }

  /** The last line of the view; on a pipe a line of its own. */
  setNotice(text: string): void {
    this.#notice = text;
    if (this.#screen) this.#draw();
    else this.say(text);
  }

  /** Ends the view; its newest picture stays. */
  stop(): void {
    this.#stopFollowing?.();
    this.#stopFollowing = null;
    if (!this.#timer) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#draw();
    this.#screen?.close();
  }

  /** After the view: what is being done, in one line that is overwritten. */
  progress(doing: string, share: number | null): void {
    const { io, isQuiet } = this.#options;
    if (this.#screen) {
      const bar = share === null ? "" : `  ${io.paint.green(progressBar(share, PROGRESS_CELLS))}`;
      this.#screen.draw([`${doing} …${bar}`]);
    } else if (doing !== this.#lastProgress && !isQuiet) {
      io.stdout.write(`${doing} …\n`);
    }
    this.#lastProgress = doing;
  }

  endProgress(): void {
    this.#screen?.draw([""]);
    this.#screen?.close();
  }

  #draw(): void {
    const { coordinator, io } = this.#options;
    const screen = this.#screen;
    if (!screen) return;
    const view = {
      status: coordinator.status(),
      elapsedMs: this.#elapsedMs(),
      notice: this.#notice,
      localStates: this.#localStates(),
    };
    const size = { width: screen.width, height: screen.height };
    screen.draw(renderView(view, { ...size, paint: io.paint }));
  }

  #printRound(): void {
    const { coordinator, io, isQuiet } = this.#options;
    const { points } = coordinator.history();
    const point = points.at(-1);
    if (!point || isQuiet) return;
    const measured = points.findLast((each) => each.evaluationLoss !== null);
    const line = roundLine({
      point,
      valLoss: measured?.evaluationLoss ?? null,
      elapsedMs: this.#elapsedMs(),
      ...coordinator.status().traffic,
    });
    io.stdout.write(`${line}\n`);
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }
}
