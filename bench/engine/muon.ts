// What Muon costs over AdamW, beside its bound, at the benchmark's batch and at 32·m tokens a step;
// and what its cheaper variants cost and lose. One process, steps in turns.
import { isBlockMatrix, parameterSpecs } from "@manyhands/engine/model/config";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import {
  MUON_RECIPE,
  type MuonOptions,
  type OptimizerOptions,
} from "@manyhands/engine/train/options";
import { createTrainer, type Trainer } from "@manyhands/engine/train/trainer";
import { median } from "./compare.ts";
import { type BenchModel, initialWeights, OPTIMIZER, textTokens } from "./models.ts";
import { markdownTable } from "./report.ts";

export type MuonRow = {
  readonly variant: string;
  readonly tokensPerStep: number;
  readonly stepMs: number;
  /** Time over AdamW's. */
  readonly overhead: number;
  /** (3.3 m + 1.7 m²/n) / T, weighted by the matrices' sizes. */
  readonly bound: number;
  /** Mean loss of the last tenth of the steps; NaN where only time was measured. */
  readonly loss: number;
};

export type MuonPlan = {
  readonly model: BenchModel;
  readonly threads: number;
  /** Steps at the benchmark's batch, which losses are taken of. */
  readonly steps: number;
  /** Steps at the large batch, for time alone. */
  readonly largeSteps: number;
};

/** Tokens per step, in multiples of the smaller side of most matrices, at which Muon is cheap. */
const LARGE_BATCH = 32;

function muon(changes: Partial<MuonOptions>): OptimizerOptions {
  const base = MUON_RECIPE.muon;
  return base ? { ...MUON_RECIPE, muon: { ...base, ...changes } } : MUON_RECIPE;
}

const VARIANTS: Readonly<Record<string, OptimizerOptions>> = {
  AdamW: OPTIMIZER,
  "Muon, quintic, 5 iterations": muon({ orthogonalization: "quintic", iterations: 5 }),
  "Muon, polar express, 5": muon({ iterations: 5 }),
  "Muon, polar express, 4 (the recipe)": muon({}),
  "Muon, polar express, 3": muon({ iterations: 3 }),
  "Muon, the recipe, half of the matrices a step": muon({ every: 2 }),
};

export async function compareMuon(plan: MuonPlan): Promise<readonly MuonRow[]> {
  const { model } = plan;
  const { contextLength, sequences } = model.batch;
  const width = Math.min(
    ...parameterSpecs(model.config)
      .filter(isBlockMatrix)
      .flatMap((s) => s.shape),
  );
  const large = Math.ceil((LARGE_BATCH * width) / contextLength);
  const names = ["AdamW", "Muon, polar express, 4 (the recipe)"];
  return [
    ...(await timed(plan, { names: Object.keys(VARIANTS), sequences, steps: plan.steps })),
    ...(await timed(plan, { names, sequences: large, steps: plan.largeSteps })),
  ];
}

type Running = {
  readonly name: string;
  readonly trainer: Trainer;
  readonly ms: number[];
  readonly losses: number[];
};
type Trial = {
  readonly names: readonly string[];
  readonly sequences: number;
  readonly steps: number;
};

async function timed({ model, threads }: MuonPlan, trial: Trial): Promise<readonly MuonRow[]> {
  const { contextLength } = model.batch;
  const batch = { sequences: trial.sequences, contextLength };
  const running: Running[] = [];
  for (const name of trial.names) {
    const optimizer = VARIANTS[name] ?? OPTIMIZER;
    const common = { runtime: ortNode, model: model.config, optimizer, batch, threads };
    // Micro-batches keep a large batch in memory; they cost all variants the same.
    const microBatch = Math.min(trial.sequences, model.batch.sequences);
    const trainer = await createTrainer({ ...common, microBatch });
    trainer.weights.set(initialWeights(model.config));
    running.push({ name, trainer, ms: [], losses: [] });
  }
  const size = trial.sequences * (contextLength + 1);
  const text = await textTokens();
  for (let step = 0; step < trial.steps; step++) {
    const start = (step * size) % (text.length - size);
    for (const { trainer, ms, losses } of running) {
      const from = performance.now();
      losses.push((await trainer.step(text.slice(start, start + size))).loss);
      ms.push(performance.now() - from);
    }
  }
  await Promise.all(running.map(({ trainer }) => trainer.dispose()));
  return rowsOf(model, running, trial.sequences * contextLength);
}

function rowsOf(
  model: BenchModel,
  running: readonly Running[],
  tokensPerStep: number,
): readonly MuonRow[] {
  const [adamw] = running;
  return running.map(({ name, ms, losses }) => {
    const last = losses.slice(-Math.ceil(losses.length / 10));
    return {
      variant: name,
      tokensPerStep,
      stepMs: Number(median(ms).toFixed(1)),
      overhead: Number((median(ms) / median(adamw?.ms ?? []) - 1).toFixed(3)),
      bound: name === "AdamW" ? 0 : Number(boundOf(model, tokensPerStep).toFixed(3)),
      loss: Number((last.reduce((sum, loss) => sum + loss, 0) / last.length).toFixed(3)),
    };
  });
}

/** Newton–Schulz products over those of forward and backward, five iterations. */
function boundOf(model: BenchModel, tokens: number): number {
  const matrices = parameterSpecs(model.config).filter(isBlockMatrix);
  const parts = matrices.map(({ shape }) => {
    const [m, n] = [Math.min(...shape), Math.max(...shape)];
    return { size: m * n, share: (3.3 * m + (1.7 * m * m) / n) / tokens };
  });
  const total = parts.reduce((sum, { size }) => sum + size, 0);
  return parts.reduce((sum, { size, share }) => sum + share * size, 0) / total;
}

export function muonTable(rows: readonly MuonRow[]): string {
  const percent = (value: number): string => `${(100 * value).toFixed(0)} %`;
  const head = ["optimiser", "tokens a step", "ms a step", "over AdamW", "bound", "loss"];
  const cells = rows.map((row) => [
    row.variant,
    row.tokensPerStep,
    row.stepMs,
    percent(row.overhead),
    percent(row.bound),
    row.loss,
  ]);
  return markdownTable(head, cells);
}
