// The engines of the GPU benchmark, in turns, each in a process of its own; then rows for tables.
import { EngineProcess } from "../engine/child.ts";
import { median } from "../engine/compare.ts";
import { type BenchModel, describeModel, type Job, writeJob } from "../engine/models.ts";
import { type Torch, torchFile } from "./machine.ts";
import { flopsPerToken } from "./models.ts";
import { bestPeak, type EnginePeak } from "./peaks.ts";
import { type Environment, explainFailure, type Found } from "./vulkan.ts";

export type Row = {
  readonly engine: string;
  readonly model: string;
  readonly shape: string;
  readonly parametersText: string;
  readonly tokensPerSecond: number;
  readonly stepMs: number;
  readonly tflops: number;
  /** Of the same runtime's best matrix product. */
  readonly shareOfPeak: number | undefined;
  readonly startupSeconds: number;
  /** With the reference's, within the engine's tolerance; undefined without one. */
  readonly lossesAgree: boolean | undefined;
  readonly losses: readonly number[];
};

export type FailedRow = {
  readonly engine: string;
  readonly model: string;
  readonly shape: string;
  readonly failure: string;
};

export type MeasurePlan = {
  readonly turns: number;
  readonly folder: string;
  readonly child: (kind: string) => readonly string[];
  readonly python: string;
  readonly gpu: Found | undefined;
  readonly torch: Torch | undefined;
  readonly cpu: boolean;
  readonly peaks: readonly EnginePeak[];
  readonly say: (line: string) => void;
};

type Engine = {
  readonly name: string;
  readonly command: readonly string[];
  readonly env: Environment;
  /** What its peak is listed as. */
  readonly peak: string;
};

type Running = {
  readonly engine: Engine;
  readonly process: EngineProcess;
  readonly turns: number[];
  readonly losses: number[];
  startupSeconds: number;
  failure?: string;
};

/** Relative distance of losses; those of reduced precision differ by their rounding. */
const TOLERANCE = 1e-3;
const REDUCED_TOLERANCE = 2e-2;
const LOSSES_COMPARED = 10;
/** Ours on the processor judges where PyTorch is missing, on models of which a step is short. */
const CPU_MODELS = ["tiny", "small"];

function enginesOf(plan: MeasurePlan, model: BenchModel): readonly Engine[] {
  const engines: Engine[] = [];
  if (plan.gpu) {
    const { env } = plan.gpu;
    const command = plan.child("webgpu");
    engines.push({ name: "manyhands WebGPU fp32", command, env, peak: "WebGPU fp32" });
  }
  if (plan.torch) {
    const onGpu = plan.torch.device !== "cpu";
    for (const policy of onGpu ? ["fp32", "tf32", "bf16", "compile"] : ["fp32"]) {
      const command = [plan.python, torchFile, policy];
      const peak = `PyTorch ${policy === "compile" ? "tf32" : policy}`;
      const name = `PyTorch ${policy} on ${plan.torch.device}`;
      engines.push({ name, command, env: {}, peak });
    }
  }
  if (plan.cpu || (!plan.torch && CPU_MODELS.includes(model.name))) {
    engines.push({ name: "manyhands CPU", command: plan.child("cpu"), env: {}, peak: "" });
  }
  return engines;
}

export async function measure(
  models: readonly BenchModel[],
  plan: MeasurePlan,
): Promise<readonly (Row | FailedRow)[]> {
  const rows: (Row | FailedRow)[] = [];
  for (const model of models) {
    plan.say(describeModel(model));
    const job = await writeJob(model, 2, plan.folder);
    const running = await compare(enginesOf(plan, model), job, { model, plan });
    const reference =
      running.find(({ engine, failure }) => !failure && engine.name.startsWith("PyTorch fp32")) ??
      running.find(({ engine, failure }) => !failure && engine.name === "manyhands CPU");
    for (const row of running) {
      rows.push(rowOf(row, model, { reference, peaks: plan.peaks }));
      const last = rows.at(-1);
      if (last === undefined) continue;
      const said = "failure" in last ? last.failure : `${last.tokensPerSecond} tokens/s`;
      plan.say(`  ${last.engine}: ${said}`);
    }
  }
  return rows;
}

/** One engine after the other: two would not fit in many a GPU's memory beside each other. */
async function compare(
  engines: readonly Engine[],
  job: Job,
  { model, plan }: { readonly model: BenchModel; readonly plan: MeasurePlan },
): Promise<readonly Running[]> {
  const all: Running[] = [];
  for (const engine of engines) {
    const [file = "", ...args] = engine.command;
    const process = new EngineProcess({ file, args, env: engine.env });
    const running: Running = { engine, process, turns: [], losses: [], startupSeconds: 0 };
    all.push(running);
    try {
      const start = await process.start(job);
      running.startupSeconds = start.startupSeconds;
      running.losses.push(...start.losses);
      for (let turn = 0; turn < plan.turns; turn++) {
        const { ms, losses } = await process.steps(model.stepsPerTurn);
        running.turns.push(median(ms));
        running.losses.push(...losses);
      }
    } catch (caught) {
      running.failure = explainFailure(caught instanceof Error ? caught.message : String(caught));
    }
    await process.end();
  }
  return all;
}

function rowOf(
  { engine, turns, losses, startupSeconds, failure }: Running,
  model: BenchModel,
  known: { readonly reference: Running | undefined; readonly peaks: readonly EnginePeak[] },
): Row | FailedRow {
  const { name, shape, batch } = model;
  if (failure !== undefined) return { engine: engine.name, model: name, shape, failure };
  const stepMs = median(turns);
  const tokensPerSecond = (batch.sequences * batch.contextLength * 1000) / stepMs;
  const tflops = (tokensPerSecond * flopsPerToken(model)) / 1e12;
  const peak = bestPeak(known.peaks, engine.peak);
  const isReduced = /bf16|tf32|compile/.test(engine.name);
  return {
    engine: engine.name,
    model: name,
    shape,
    parametersText: describeModel(model),
    tokensPerSecond: Math.round(tokensPerSecond),
    stepMs: Number(stepMs.toPrecision(4)),
    tflops: Number(tflops.toPrecision(3)),
    shareOfPeak: peak === undefined ? undefined : Number((tflops / peak).toPrecision(3)),
    startupSeconds: Number(startupSeconds.toFixed(1)),
    lossesAgree:
      known.reference &&
      agree(losses, known.reference.losses, isReduced ? REDUCED_TOLERANCE : TOLERANCE),
    losses: losses.slice(0, LOSSES_COMPARED),
  };
}

function agree(losses: readonly number[], expected: readonly number[], tolerance: number): boolean {
  const count = Math.min(losses.length, expected.length, LOSSES_COMPARED);
  return losses.slice(0, count).every((loss, step) => {
    const other = expected[step] ?? Number.NaN;
    return Math.abs(loss - other) <= tolerance * Math.abs(other);
  });
}
