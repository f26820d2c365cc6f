// A curve in one line of text. Each cell is the mean of its share of the values.

const BARS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;

/** At most `width` cells; fewer values than cells give one cell each. Empty for no values. */
export function sparkline(values: readonly number[], width: number): string {
  const finite = values.filter(Number.isFinite);
  const cells = resample(finite, width);
  const low = Math.min(...cells);
  const span = Math.max(...cells) - low;
  return cells
    .map((value) => {
      const level = span === 0 ? 0 : Math.round(((value - low) / span) * (BARS.length - 1));
      return BARS[level];
    })
    .join("");
}

function resample(values: readonly number[], width: number): number[] {
  const count = Math.min(width, values.length);
  return Array.from({ length: count }, (_, cell) => {
    const from = Math.floor((cell * values.length) / count);
    const to = Math.floor(((cell + 1) * values.length) / count);
    const part = values.slice(from, to);
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}

/** `━━━━━─────` */
export function progressBar(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return "━".repeat(full) + "─".repeat(width - full);
}
