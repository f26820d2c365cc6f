// What a person sees of fine-tuning: a line redrawn in place on a terminal, a line per validation
// on a pipe, or JSON. It measures nothing; it is told.
import { clockText, countText, lossText } from "../terminal/format.ts";
import { type Io, print, printJson, remark } from "../terminal/io.ts";
import { progressBar } from "../terminal/sparkline.ts";
import { LiveScreen } from "../view/live-screen.ts";
import type { LossPoint } from "./checkpoint-file.ts";
import type { Recipe } from "./recipe.ts";
import type { StepReport } from "./training.ts";

const BAR_CELLS = 10;
/** Steps whose median time foretells the rest: one that was stopped with Ctrl-Z does not count. */
const RECENT_STEPS = 20;

export class FinetuneProgress {
  readonly #io: Io;
  readonly #json: boolean;
  readonly #recipe: Recipe;
  readonly #screen: LiveScreen | null;
  readonly #recent: number[] = [];
  #newest: StepReport | undefined;
  #validation: number | null = null;
  #isPaused = false;

  constructor(io: Io, recipe: Recipe, json: boolean) {
    this.#io = io;
    this.#json = json;
    this.#recipe = recipe;
    this.#screen = !json && io.stdout.isTTY ? new LiveScreen(io.stdout) : null;
  }

  /** A sentence beside the numbers. */
  say(text: string): void {
    if (this.#screen) this.#screen.printAbove(text);
    else if (!this.#json) print(this.#io, text);
    else remark(this.#io, text);
  }

  step(report: StepReport): void {
    this.#newest = report;
    this.#recent.push(report.ms);
    if (this.#recent.length > RECENT_STEPS) this.#recent.shift();
    if (this.#json)
      printJson(this.#io, { type: "step", ...report, secondsLeft: this.secondsLeft() });
    this.#draw();
  }

  validation(point: LossPoint): void {
    this.#validation = point.loss;
    if (this.#json) printJson(this.#io, { type: "validation", ...point });
    else if (!this.#screen) print(this.#io, this.#text());
    this.#draw();
  }

  saved(step: number): void {
    if (this.#json) printJson(this.#io, { type: "checkpoint", step });
  }

  paused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    if (this.#json) printJson(this.#io, { type: isPaused ? "paused" : "resumed" });
    this.#draw();
  }

  close(): void {
    this.#screen?.close();
  }

  /** By the median of the newest steps; null before the first. */
  secondsLeft(): number | null {
    if (!this.#newest || this.#recent.length === 0) return null;
    const median = this.#recent.toSorted((a, b) => a - b)[this.#recent.length >> 1] ?? 0;
    return ((this.#recipe.steps - this.#newest.step) * median) / 1_000;
  }

  #draw(): void {
    if (!this.#screen) return;
    const keys = this.#isPaused ? "paused (p)" : "p: pause";
    this.#screen.draw([`${this.#text()} · ${keys}`.slice(0, this.#screen.width - 1)]);
  }

  #text(): string {
    const { steps, batch, sequence } = this.#recipe;
    const newest = this.#newest;
    const step = newest?.step ?? 0;
    const parts = [`step ${step}/${steps} ${progressBar(step / steps, BAR_CELLS)}`];
    if (newest) parts.push(`loss ${lossText(newest.loss)}`);
    if (this.#validation !== null) parts.push(`validation ${lossText(this.#validation)}`);
    if (newest) parts.push(`${countText((batch * sequence * 1_000) / newest.ms)} tokens/s`);
    const left = this.secondsLeft();
    if (left !== null && step < steps) parts.push(`${clockText(left * 1_000)} left`);
    return parts.join(" · ");
  }
}
