// The GPU benchmark's tables. Nothing here measures.
import { markdownTable } from "../engine/report.ts";
import type { FailedRow, Row } from "./measure.ts";
import { bestPeak, type EnginePeak } from "./peaks.ts";

export type Report = {
  readonly command: string;
  readonly machine: readonly string[];
  readonly gpu: string;
  readonly peaks: readonly EnginePeak[];
  readonly rows: readonly (Row | FailedRow)[];
};

const NOTE = [
  "A full step each: forward, backward, clipping at norm 1, AdamW; same weights and batches.",
  "Engines run one after the other; medians of turns. TFLOP/s = tokens/s × (6 P + 12 L C T):",
  "P parameters in matrix products, attention counted whole. The share is of the same runtime's",
  "best matrix product below. fp32: TF32 is off; tf32: products with inputs of 10 bits of",
  "mantissa; bf16: autocast, weights and moments in f32; compile: torch.compile of tf32. Losses",
  "agree with PyTorch's fp32 (without PyTorch: with ours on the processor) within 0.1 %, reduced",
  "precision within 2 %.",
].join("\n");

export function markdown({ command, machine, gpu, peaks, rows }: Report): string {
  const engines = [...new Set(peaks.map(({ engine }) => engine))];
  const best = engines.map((engine) => {
    const tflops = bestPeak(peaks, engine);
    const side = peaks.find((peak) => peak.engine === engine && peak.tflops === tflops)?.side ?? 0;
    return [engine, `${side} × ${side}`, tflops ?? 0];
  });
  const head = ["model", "engine", "tokens/s", "ms a step", "TFLOP/s", "share of peak"];
  return [
    "# Training on a GPU",
    "",
    `\`${command}\` · ${machine.join(" · ")}`,
    "",
    `WebGPU: ${gpu}`,
    "",
    NOTE,
    "",
    markdownTable([...head, "start-up s", "losses agree"], rows.map(cellsOf)),
    "",
    "## The best matrix products",
    "",
    markdownTable(["runtime", "size", "TFLOP/s"], best),
  ].join("\n");
}

function cellsOf(row: Row | FailedRow): readonly (string | number)[] {
  const model = `${row.model} ${row.shape}`;
  if ("failure" in row) return [model, row.engine, row.failure, "", "", "", "", ""];
  const share = row.shareOfPeak === undefined ? "–" : `${(100 * row.shareOfPeak).toFixed(0)} %`;
  const agree = row.lossesAgree === undefined ? "no reference" : row.lossesAgree ? "yes" : "NO";
  const numbers = [row.tokensPerSecond, row.stepMs, row.tflops, share, row.startupSeconds];
  return [model, row.engine, ...numbers, agree];
}
