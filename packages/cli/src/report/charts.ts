// The report's pictures: the loss curve, the bytes, the rounds. Pure functions from data to SVG
// text.
import { bytesText, countText, durationText, timesText } from "../terminal/format.ts";
import { linearScale, linearTicks, logScale, logTicks, type Scale, type Span } from "./scales.ts";
import { element, label, type Point, picture, polyline } from "./svg.ts";

export type Size = { readonly width: number; readonly height: number };

type Margins = {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
};

/** x in tokens, y in nats per token. */
export type LossPoint = { readonly tokens: number; readonly loss: number };

export type LossCurves = {
  /** Mean training loss of each round. */
  readonly train: readonly LossPoint[];
  /** The workers' shared evaluations, on some windows. */
  readonly validation: readonly LossPoint[];
  /** The final weights on the whole validation split. */
  readonly final: LossPoint | null;
};

const POINTS_MAX = 400;

/** Loss against tokens, the loss on a logarithmic axis. */
export function lossChart(curves: LossCurves, size: Size, unit = "nats per byte"): string {
  const all = [...curves.train, ...curves.validation, ...(curves.final ? [curves.final] : [])];
  if (all.length === 0) return picture(size, "No loss was recorded.", emptyNote(size));
  const margins: Margins = { left: 42, right: 16, top: 14, bottom: 40 };
  const losses = all.map((point) => point.loss);
  const ySpan = { from: Math.min(...losses) * 0.96, to: Math.max(...losses) * 1.03 };
  const xSpan = { from: 0, to: Math.max(...all.map((point) => point.tokens), 1) };
  const x = linearScale(xSpan, { from: margins.left, to: size.width - margins.right });
  const y = logScale(ySpan, { from: size.height - margins.bottom, to: margins.top });
  const at = (point: LossPoint): Point => ({ x: x(point.tokens), y: y(point.loss) });
  const xTicks = linearTicks(xSpan, size.width / 110).map((value) => ({
    value,
    text: countText(value),
  }));
  const yTicks = lossTicks(ySpan, size.height).map((value) => {
    return { value, text: String(Number(value.toPrecision(3))) };
  });
  const dots = curves.validation.map((point) => {
    const { x: cx, y: cy } = at(point);
    return element("circle", { cx, cy, r: 2.4, class: "validation-dot" });
  });
  const content = [
    grid({ size, margins, x, y, xTicks, yTicks }),
    label({ x: size.width - margins.right, y: size.height - 4 }, "tokens", {
      "text-anchor": "end",
    }),
    label({ x: margins.left, y: margins.top - 3 }, unit, { "text-anchor": "start" }),
    polyline(thinned(curves.train).map(at), "train-line"),
    polyline(curves.validation.map(at), "validation-line"),
    ...dots,
    curves.final ? finalMark(at(curves.final), curves.final.loss) : "",
  ];
  return picture(size, lossWords(curves), content.join(""));
}

const TICKS_MIN = 3;

/** Round numbers; in a narrow span, where hardly one lies, steps of the same size. */
function lossTicks(span: Span, height: number): readonly number[] {
  const ticks = logTicks(span, height / 30);
  if (ticks.length >= TICKS_MIN) return ticks;
  return linearTicks(span, height / 60).filter((tick) => tick >= span.from && tick <= span.to);
}

function lossWords(curves: LossCurves): string {
  const first = curves.train[0];
  const last = curves.train.at(-1);
  const train = first && last ? `from ${first.loss.toFixed(2)} to ${last.loss.toFixed(2)}` : "";
  const final = curves.final ? `; ${curves.final.loss.toFixed(3)} on all validation data` : "";
  return `Training loss ${train} over ${countText(last?.tokens ?? 0)} tokens${final}.`;
}

function finalMark(point: Point, loss: number): string {
  const { x, y } = point;
  const diamond = `${x},${y - 6} ${x + 6},${y} ${x},${y + 6} ${x - 6},${y}`;
  const text = label({ x: x + 6, y: y - 13 }, loss.toFixed(3), {
    "text-anchor": "end",
    class: "final-label",
  });
  return element("polygon", { points: diamond, class: "final-mark" }) + text;
}

type Tick = { readonly value: number; readonly text: string };
type Grid = {
  readonly size: Size;
  readonly margins: Margins;
  readonly x: Scale;
  readonly y: Scale;
  readonly xTicks: readonly Tick[];
  readonly yTicks: readonly Tick[];
};

/** Horizontal lines with their values, and values below the x axis. */
function grid({ size, margins, x, y, xTicks, yTicks }: Grid): string {
  const right = size.width - margins.right;
  const bottom = size.height - margins.bottom;
  const rows = yTicks.map(({ value, text }) => {
    const y1 = y(value);
    const line = element("line", { x1: margins.left, x2: right, y1, y2: y1, class: "grid" });
    return line + label({ x: margins.left - 7, y: y1 + 4 }, text, { "text-anchor": "end" });
  });
  const columns = xTicks.map(({ value, text }) => {
    const x1 = x(value);
    const line = element("line", { x1, x2: x1, y1: bottom, y2: bottom + 4, class: "axis" });
    return line + label({ x: x1, y: bottom + 17 }, text, { "text-anchor": "middle" });
  });
  const axis = element("line", {
    x1: margins.left,
    x2: right,
    y1: bottom,
    y2: bottom,
    class: "axis",
  });
  return rows.join("") + columns.join("") + axis;
}

function emptyNote(size: Size): string {
  const middle = { x: size.width / 2, y: size.height / 2 };
  return label(middle, "nothing to show yet", { "text-anchor": "middle" });
}

/** Means of neighbours, so that a long run's curve stays a small picture. */
function thinned(points: readonly LossPoint[]): LossPoint[] {
  const size = Math.ceil(points.length / POINTS_MAX);
  if (size <= 1) return [...points];
  return chunks(points, size).map((part) => ({
    tokens: mean(part.map((point) => point.tokens)),
    loss: mean(part.map((point) => point.loss)),
  }));
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, i) => items.slice(i * size, (i + 1) * size));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

export type BytesFacts = { readonly ours: number; readonly dataParallel: number };

/** Below this ratio squares say less than two bars. */
const SQUARES_RATIO_MIN = 4;
const SQUARES_MAX = 3_000;

/** Every square stands for what this run sent and received; the first one is this run. */
export function bytesPicture(bytes: BytesFacts, width: number): string {
  const ratio = bytes.ours > 0 ? bytes.dataParallel / bytes.ours : 0;
  const sizes = `${bytesText(bytes.dataParallel)} against ${bytesText(bytes.ours)}`;
  const words = `${sizes}: ${timesText(ratio)}`;
  if (ratio < SQUARES_RATIO_MIN || ratio > SQUARES_MAX) return bytesBars(bytes, width, words);
  const count = Math.round(ratio);
  const cell = Math.max(6, Math.min(18, Math.sqrt((width * 170) / count)));
  const columns = Math.floor(width / cell);
  const height = Math.ceil(count / columns) * cell;
  const squares = Array.from({ length: count }, (_, i) =>
    element("rect", {
      x: (i % columns) * cell + 1,
      y: Math.floor(i / columns) * cell + 1,
      width: cell - 2,
      height: cell - 2,
      rx: 1.5,
      class: i === 0 ? "ours" : "theirs",
    }),
  );
  return picture({ width, height }, words, squares.join(""));
}

function bytesBars(bytes: BytesFacts, width: number, words: string): string {
  const most = Math.max(bytes.ours, bytes.dataParallel, 1);
  const bar = (y: number, value: number, className: string): string =>
    element("rect", {
      x: 0,
      y,
      width: Math.max(1, (width * value) / most),
      height: 22,
      rx: 3,
      class: className,
    });
  const bars = bar(0, bytes.ours, "ours") + bar(30, bytes.dataParallel, "theirs");
  return picture({ width, height: 52 }, words, bars);
}

export type RoundBar = {
  readonly round: number;
  readonly ms: number;
  readonly contributors: number;
  readonly late: number;
};

const BARS_PER_PIXEL = 0.4;

/**
 * Duration of each round; empty rounds and late updates stand out. Neighbours share a bar when
 * many.
 */
export function roundsChart(rounds: readonly RoundBar[], size: Size): string {
  if (rounds.length === 0) return picture(size, "No round was closed.", emptyNote(size));
  const margins: Margins = { left: 42, right: 16, top: 16, bottom: 38 };
  const most = Math.max(1, Math.floor((size.width - margins.left) * BARS_PER_PIXEL));
  const bars = chunks(rounds, Math.ceil(rounds.length / most)).map(mergedBar);
  const xSpan: Span = { from: 0, to: rounds.length };
  const ySpan: Span = { from: 0, to: Math.max(...bars.map((bar) => bar.ms)) * 1.05 };
  const x = linearScale(xSpan, { from: margins.left, to: size.width - margins.right });
  const y = linearScale(ySpan, { from: size.height - margins.bottom, to: margins.top });
  const shapes = bars.map((bar, i) => {
    const next = bars[i + 1]?.round ?? rounds.length;
    const left = x(bar.round);
    const gap = Math.min(1, (x(next) - left) * 0.2);
    return barShape({ bar, left, width: x(next) - left - gap, top: y(bar.ms), bottom: y(0) });
  });
  const yTicks = linearTicks(ySpan, size.height / 45).map((value) => ({
    value,
    text: value === 0 ? "0" : `${Number((value / 1_000).toPrecision(3))} s`,
  }));
  const xTicks = linearTicks(xSpan, size.width / 110)
    .filter(Number.isInteger)
    .map((value) => ({ value, text: String(value) }));
  const axis = label({ x: size.width - margins.right, y: size.height - 4 }, "round", {
    "text-anchor": "end",
  });
  const content = grid({ size, margins, x, y, xTicks, yTicks }) + axis + shapes.join("");
  return picture(size, roundsWords(rounds), content);
}

function roundsWords(rounds: readonly RoundBar[]): string {
  const late = rounds.reduce((sum, round) => sum + round.late, 0);
  const typical = durationText(mean(rounds.map((round) => round.ms)));
  return `${rounds.length} rounds of ${typical} on average; ${late} late updates.`;
}

function mergedBar(part: readonly RoundBar[]): RoundBar {
  return {
    round: part[0]?.round ?? 0,
    ms: mean(part.map((bar) => bar.ms)),
    contributors: Math.min(...part.map((bar) => bar.contributors)),
    late: part.reduce((sum, bar) => sum + bar.late, 0),
  };
}

type BarPlace = {
  readonly bar: RoundBar;
  readonly left: number;
  readonly width: number;
  readonly top: number;
  readonly bottom: number;
};

function barShape({ bar, left, width, top, bottom }: BarPlace): string {
  const shape = element("rect", {
    x: left,
    y: top,
    width: Math.max(0.6, width),
    height: Math.max(0.6, bottom - top),
    class: bar.contributors === 0 ? "round-empty" : "round-bar",
  });
  if (bar.late === 0) return shape;
  const mark = { cx: left + width / 2, cy: top - 5, r: 2.2, class: "late-dot" };
  return shape + element("circle", mark);
}
