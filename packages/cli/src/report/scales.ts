// Axes: from data to pixels, and ticks at numbers that people know. Pure.

export type Scale = (value: number) => number;

export type Span = { readonly from: number; readonly to: number };

export function linearScale(data: Span, pixels: Span): Scale {
  const width = data.to - data.from || 1;
  return (value) => pixels.from + ((value - data.from) / width) * (pixels.to - pixels.from);
}

/** Equal ratios take equal lengths. Data must be positive. */
export function logScale(data: Span, pixels: Span): Scale {
  const inner = linearScale({ from: Math.log(data.from), to: Math.log(data.to) }, pixels);
  return (value) => inner(Math.log(Math.max(value, Number.MIN_VALUE)));
}

/** About `count` ticks at 1, 2 or 5 times a power of ten, within the span. */
export function linearTicks(span: Span, count: number): number[] {
  const width = span.to - span.from;
  if (!(width > 0)) return [span.from];
  const rough = width / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(span.from / step - 1e-9);
  const last = Math.floor(span.to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => rounded((first + i) * step));
}

/** Candidates from coarse to fine; the finest that gives at most `count` ticks is taken. */
const LOG_STEPS: readonly (readonly number[])[] = [
  [1],
  [1, 3],
  [1, 2, 5],
  [1, 1.5, 2, 3, 5, 7],
  [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8],
  [1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2, 2.2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9],
];

export function logTicks(span: Span, count: number): number[] {
  const low = Math.floor(Math.log10(span.from));
  const high = Math.ceil(Math.log10(span.to));
  let best: number[] = [];
  for (const steps of LOG_STEPS) {
    const ticks: number[] = [];
    for (let power = low; power <= high; power++) {
      for (const step of steps) {
        const value = rounded(step * 10 ** power);
        if (value >= span.from && value <= span.to) ticks.push(value);
      }
    }
    if (ticks.length > count) break;
    best = ticks;
  }
  return best;
}

/** Without the last digits' noise of binary fractions. */
function rounded(value: number): number {
  return Number(value.toPrecision(12));
}
