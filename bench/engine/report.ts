// From measured turns to the rows that are printed and kept. Nothing here measures.
import type { Measured } from "./compare.ts";
import { median } from "./compare.ts";

export type Row = {
  readonly engine: string;
  readonly model: string;
  readonly shape: string;
  readonly threads: number;
  readonly tokensPerSecond: number;
  /** Ratio of medians to PyTorch eager's better attention, at equal threads. */
  readonly ratioToPyTorch: number;
  readonly peakMiB: number;
  readonly startupSeconds: number;
  readonly lossesAgree: boolean;
};

const EAGER = /^PyTorch (plain|SDPA)$/;
/** Relative distance of losses, over the steps that two engines both took, ten at most. */
const LOSS_TOLERANCE = 1e-3;
const LOSSES_COMPARED = 10;

/** Rows of one comparison: the same model, the same threads. */
export function rowsOf(measured: readonly Measured[]): readonly Row[] {
  const eager = measured.filter(({ engine }) => EAGER.test(engine));
  const best = eager.toSorted((a, b) => median(a.turns) - median(b.turns))[0];
  return measured
    .filter((row) => row === best || !EAGER.test(row.engine))
    .map((row) => rowOf(row, best));
}

function rowOf(row: Measured, best: Measured | undefined): Row {
  const { batch, name, shape } = row.model;
  const ms = median(row.turns);
  return {
    engine: row === best ? `PyTorch eager (${row.engine.slice(8)})` : row.engine,
    model: name,
    shape,
    threads: row.threads,
    tokensPerSecond: rounded((batch.sequences * batch.contextLength * 1000) / ms, 0),
    ratioToPyTorch: rounded(best ? median(best.turns) / ms : Number.NaN, 3),
    peakMiB: rounded(row.peakMiB, 0),
    startupSeconds: rounded(row.startupSeconds, 2),
    lossesAgree: best !== undefined && agree(row.losses, best.losses),
  };
}

function agree(losses: readonly number[], expected: readonly number[]): boolean {
  const count = Math.min(losses.length, expected.length, LOSSES_COMPARED);
  return losses.slice(0, count).every((loss, step) => {
    const other = expected[step] ?? Number.NaN;
    return Math.abs(loss - other) <= LOSS_TOLERANCE * other;
  });
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** A table in Markdown: column names, then one list of cells per row. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

export function engineTable(rows: readonly Row[]): string {
  const head = [
    "model",
    "threads",
    "engine",
    "tokens/s",
    "ratio to PyTorch",
    "peak MiB",
    "start-up s",
    "losses agree",
  ];
  const cells = rows.map((row) => [
    `${row.model} ${row.shape}`,
    row.threads,
    row.engine,
    row.tokensPerSecond,
    row.ratioToPyTorch.toFixed(2),
    row.peakMiB,
    row.startupSeconds.toFixed(1),
    row.lossesAgree ? "yes" : "NO",
  ]);
  return markdownTable(head, cells);
}
