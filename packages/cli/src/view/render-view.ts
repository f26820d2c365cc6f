// The live view as lines of text, from a view model and a width. Pure: no terminal, no clock.
import {
  bytesText,
  clockText,
  countText,
  groupedText,
  lossText,
  shareText,
  shortId,
} from "../terminal/format.ts";
import { progressBar, sparkline } from "../terminal/sparkline.ts";
import { type Paint, widthOf } from "../terminal/style.ts";
import { doneShare, etaMs, type RunView, type WorkerRow } from "./view-model.ts";

export type RenderOptions = {
  readonly width: number;
  readonly paint: Paint;
  /** Rows of the terminal: workers that do not fit are counted instead of listed. */
  readonly height: number;
};

const WIDTH_MAX = 96;
const CURVE_CELLS_MAX = 40;
const BAR_CELLS = 10;
/** Lines around the list of workers, the terminal's prompt included. */
const OTHER_LINES = 13;

/** The whole picture; no line is wider than `width`. */
export function renderView(view: RunView, options: RenderOptions): string[] {
  const width = Math.min(options.width, WIDTH_MAX);
  const { paint } = options;
  const lines = [
    heading(view, paint),
    "",
    progressLine(view, width, paint),
    ...curveLines(view, width, paint),
    field("speed", `${groupedText(view.tokensPerSecond)} tokens/s`, paint),
    field("traffic", `${bytesText(view.bytesUp)} up, ${bytesText(view.bytesDown)} down`, paint),
    "",
    ...workerLines(view.workers, options),
    "",
    paint.dim(view.notice ?? footer(view)),
  ];
  return lines.map((line) => clip(line, options.width));
}

function heading(view: RunView, paint: Paint): string {
  const where = view.phase === "finished" ? "finished" : `round ${view.round}, ${view.phase}`;
  return `${paint.bold(view.name)}  ${where}  ${paint.dim(shortId(view.runId))}`;
}

function footer(view: RunView): string {
  return `Ctrl-C stops politely; the run can be continued. ${view.folder}`;
}

function field(name: string, value: string, paint: Paint): string {
  return `${paint.dim(name.padEnd(9))}${value}`;
}

function progressLine(view: RunView, width: number, paint: Paint): string {
  const share = doneShare(view);
  const eta = etaMs(view);
  const parts = [
    shareText(share),
    view.tokensBudget === null
      ? `${countText(view.tokens)} tokens`
      : `${countText(view.tokens)} of ${countText(view.tokensBudget)} tokens`,
    clockText(view.elapsedMs),
    eta === null ? "" : `${clockText(eta)} left`,
  ].filter((part) => part !== "");
  const cells = Math.max(BAR_CELLS, Math.min(CURVE_CELLS_MAX, width - 60));
  return field("progress", `${paint.green(progressBar(share, cells))} ${parts.join("  ")}`, paint);
}

function curveLines(view: RunView, width: number, paint: Paint): string[] {
  const cells = Math.max(BAR_CELLS, Math.min(CURVE_CELLS_MAX, width - 60));
  const newest = view.trainLosses.at(-1) ?? null;
  const curve = sparkline(view.trainLosses, cells);
  const validation =
    view.valLoss === null
      ? "validation –"
      : `validation ${lossText(view.valLoss)} (sample, round ${view.valLossRound})`;
  const padding = " ".repeat(Math.max(0, cells - [...curve].length));
  const text = `${paint.cyan(curve)}${padding} train ${lossText(newest)}  ${validation}`;
  return [field("loss", text, paint)];
}

function workerLines(workers: readonly WorkerRow[], options: RenderOptions): string[] {
  const { paint } = options;
  if (workers.length === 0) return [paint.dim("no worker yet")];
  const room = Math.max(1, options.height - OTHER_LINES);
  const shown = workers.length <= room ? workers : workers.slice(0, room - 1);
  const nameWidth = Math.min(20, Math.max(...shown.map((worker) => worker.name.length)));
  const lines = shown.map((worker) => workerLine(worker, nameWidth, paint));
  const hidden = workers.length - shown.length;
  return hidden > 0 ? [...lines, paint.dim(`and ${hidden} more`)] : lines;
}

function workerLine(worker: WorkerRow, nameWidth: number, paint: Paint): string {
  const name = worker.name.slice(0, nameWidth).padEnd(nameWidth);
  const bar =
    worker.progress === null ? " ".repeat(BAR_CELLS) : progressBar(worker.progress, BAR_CELLS);
  const speed = worker.tokensPerSecond > 0 ? `${groupedText(worker.tokensPerSecond)}/s` : "";
  const text = [
    name,
    worker.state.slice(0, 12).padEnd(12),
    bar,
    speed.padStart(9),
    `${countText(worker.tokens)} tokens`.padStart(13),
  ].join("  ");
  return worker.isActive ? text : paint.dim(text);
}

/** Cuts a line at the width; escape sequences take no room and colours are closed at a cut. */
function clip(line: string, width: number): string {
  if (widthOf(line) <= width) return line;
  let out = "";
  let used = 0;
  let isPainted = false;
  for (const token of line.match(TOKENS) ?? []) {
    if (token.startsWith(ESCAPE)) {
      isPainted = true;
      out += token;
    } else if (used < width) {
      out += token;
      used += 1;
    }
  }
  return isPainted ? `${out}${ESCAPE}[0m` : out;
}

const ESCAPE = String.fromCharCode(27);
const TOKENS = new RegExp(`${ESCAPE}\\[[0-9;]*m|[^]`, "gu");
