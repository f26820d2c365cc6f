// One comparison: all engines of a model and a thread count, in turns, in one go.
// It deliberately computes no ratios: report.ts does.
import { type EngineProcess, EngineProcess as Process, type Turn } from "./child.ts";
import type { Engine } from "./engines.ts";
import { type BenchModel, writeJob } from "./models.ts";

export type Measured = {
  readonly engine: string;
  readonly model: BenchModel;
  readonly threads: number;
  /** Median milliseconds of each turn. */
  readonly turns: number[];
  readonly losses: number[];
  peakMiB: number;
  readonly startupSeconds: number;
  readonly version: string;
};

export type Absence = { readonly engine: string; readonly reason: string };

export type Plan = {
  readonly model: BenchModel;
  readonly threads: number;
  readonly turns: number;
  readonly folder: string;
};

type Running = { readonly engine: Engine; readonly process: EngineProcess; readonly row: Measured };

const SLOW_TURNS = 2;

/** Starts the engines one after the other, lets them take turns, and ends them. */
export async function compare(
  engines: readonly Engine[],
  plan: Plan,
): Promise<{ readonly rows: readonly Measured[]; readonly absent: readonly Absence[] }> {
  const running: Running[] = [];
  const absent: Absence[] = [];
  const taking = engines.filter((engine) => engine.runs(plan.model, plan.threads));
  for (const engine of taking) {
    const started = await start(engine, plan);
    if ("reason" in started) absent.push(started);
    else running.push(started);
  }
  for (let turn = 0; turn < plan.turns; turn++) {
    // Each turn in another order: what follows a cold cache or a hot core is not always the same.
    const order = turn % 2 === 0 ? running : running.toReversed();
    for (const { engine, process, row } of order) {
      if (engine.slow && turn >= SLOW_TURNS) continue;
      record(row, await process.steps(engine.slow ? 1 : plan.model.stepsPerTurn));
    }
  }
  await Promise.all(running.map(({ process }) => process.end()));
  return { rows: running.map(({ row }) => row), absent };
}

async function start(engine: Engine, plan: Plan): Promise<Running | Absence> {
  const process = new Process(engine.command);
  try {
    const job = await writeJob(plan.model, plan.threads, plan.folder);
    const { startupSeconds, losses, peakMiB, version = "" } = await process.start(job);
    const { model, threads } = plan;
    const start = { startupSeconds, losses: [...losses], peakMiB, version };
    return { engine, process, row: { engine: engine.name, model, threads, turns: [], ...start } };
  } catch (caught) {
    await process.end();
    return { engine: engine.name, reason: caught instanceof Error ? caught.message : "unknown" };
  }
}

function record(row: Measured, turn: Turn): void {
  row.turns.push(median(turn.ms));
  row.losses.push(...turn.losses);
  row.peakMiB = Math.max(row.peakMiB, turn.peakMiB);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1] ?? Number.NaN, sorted[Math.floor(middle)]];
  return (low + (high ?? Number.NaN)) / 2;
}
