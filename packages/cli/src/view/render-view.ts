// The live view as lines of text, from a view model and a width. Pure: no terminal, no clock.
import type { RunStatus, WorkerStatus } from "@manyhands/coordinator/status";
import { POSITION_END } from "@manyhands/protocol/limits";
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
import { notJoined, type RunView, trainingShare, workerWord } from "./view-model.ts";

export type RenderOptions = {
  readonly width: number;
  readonly paint: Paint;
  /** Rows of the terminal: workers that do not fit are counted instead of listed. */
  readonly height: number;
};

const CURVE_CELLS_MAX = 40;
const BAR_CELLS = 10;
const NAME_CELLS_MAX = 20;
/** Lines around the list of workers, the terminal's prompt included. */
const OTHER_LINES = 13;

/** The whole picture; no line is wider than `width`. */
export function renderView(view: RunView, options: RenderOptions): string[] {
  const { status } = view;
  const { paint } = options;
  const cells = Math.max(BAR_CELLS, Math.min(CURVE_CELLS_MAX, options.width - 60));
  const { bytesUp, bytesDown } = status.traffic;
  const lines = [
    heading(status, paint),
    "",
    field("progress", progressText(view, cells, paint), paint),
    field("loss", lossLine(status, cells, paint), paint),
    field("speed", `${groupedText(status.tokensPerSecond)} tokens/s`, paint),
    field("traffic", `${bytesText(bytesUp)} up, ${bytesText(bytesDown)} down`, paint),
    "",
    ...workerLines(view, options),
    "",
    status.trouble === null ? paint.dim(view.notice) : paint.yellow(status.trouble),
  ];
  return lines.map((line) => clip(line, options.width));
}

function heading(status: RunStatus, paint: Paint): string {
  const isOver = status.phase === "finished";
  const where = isOver ? "finished" : `round ${status.round}, ${status.phase}`;
  return `${paint.bold(status.name)}  ${where}  ${paint.dim(shortId(status.runId))}`;
}

function field(name: string, value: string, paint: Paint): string {
  return `${paint.dim(name.padEnd(9))}${value}`;
}

function progressText(view: RunView, cells: number, paint: Paint): string {
  const { status, elapsedMs } = view;
  const share = status.position / POSITION_END;
  const { tokens } = status.budget;
  const budget = tokens === null ? "" : ` of ${countText(tokens)}`;
  const parts = [
    shareText(share),
    `${countText(status.tokensCommitted)}${budget} tokens`,
    clockText(elapsedMs),
    status.etaMs === null || status.phase === "finished" ? "" : `${clockText(status.etaMs)} left`,
  ];
  const text = parts.filter((part) => part !== "").join("  ");
  return `${paint.green(progressBar(share, cells))} ${text}`;
}

function lossLine(status: RunStatus, cells: number, paint: Paint): string {
  const train = status.trainLoss.map((point) => point.loss);
  const curve = sparkline(train, cells);
  const padding = " ".repeat(cells - [...curve].length);
  const newest = status.evaluationLoss.at(-1);
  const validation = newest
    ? `validation ${lossText(newest.loss)} (sample, round ${newest.round})`
    : "validation –";
  return `${paint.cyan(curve)}${padding} train ${lossText(train.at(-1) ?? null)}  ${validation}`;
}

function workerLines(view: RunView, options: RenderOptions): string[] {
  const { paint } = options;
  const joined = view.status.workers.map((worker) => workerCells(worker, view));
  const coming = notJoined(view).map(([name, word]) => ({ name, cells: [word], isActive: false }));
  const rows = [...joined, ...coming];
  if (rows.length === 0) return [paint.dim("no worker yet")];
  const room = Math.max(1, options.height - OTHER_LINES);
  const shown = rows.length <= room ? rows : rows.slice(0, room - 1);
  const nameWidth = Math.min(NAME_CELLS_MAX, Math.max(...shown.map(({ name }) => name.length)));
  const lines = shown.map(({ name, cells, isActive }) => {
    const text = [name.slice(0, nameWidth).padEnd(nameWidth), ...cells].join("  ");
    return isActive ? text : paint.dim(text);
  });
  const hidden = rows.length - shown.length;
  return hidden > 0 ? [...lines, paint.dim(`and ${hidden} more`)] : lines;
}

type Row = { readonly name: string; readonly cells: readonly string[]; readonly isActive: boolean };

function workerCells(worker: WorkerStatus, { status, localStates }: RunView): Row {
  const { phase } = status;
  const share = trainingShare(worker, phase);
  const word = workerWord(worker, { phase, local: localStates.get(worker.name) });
  const isWorking = worker.active && phase !== "finished";
  const speed =
    isWorking && worker.tokensPerSecond > 0 ? `${groupedText(worker.tokensPerSecond)}/s` : "";
  const cells = [
    word.slice(0, 12).padEnd(12),
    share === null ? " ".repeat(BAR_CELLS) : progressBar(share, BAR_CELLS),
    speed.padStart(9),
    `${countText(worker.credit)} tokens`.padStart(13),
    ...(worker.payTo === null ? [] : [`→ 0x${worker.payTo.slice(0, 4)}…${worker.payTo.slice(-4)}`]),
  ];
  return { name: worker.name, cells, isActive: worker.active };
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
