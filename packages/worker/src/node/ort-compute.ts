// The compute port on ONNX Runtime's CPU backend: the engine's trainer and evaluator behind the
// host's words. A step blocks the thread while it runs (tens of milliseconds), so between steps the
// event loop gets its turn.
import { setImmediate } from "node:timers/promises";
import { defined } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import { splitTokens } from "@manyhands/engine/data/dataset";
import { Sampler } from "@manyhands/engine/data/sampler";
import { parameterCount, parameterSpecs } from "@manyhands/engine/model/config";
import { initialWeights } from "@manyhands/engine/model/initial-weights";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { createEvaluator, type Evaluator } from "@manyhands/engine/train/evaluate";
import { ADAMW_RECIPE, MUON_RECIPE, type OptimizerOptions } from "@manyhands/engine/train/options";
import { createTrainer, type Trainer } from "@manyhands/engine/train/trainer";
import type { FrozenRun, Recipe } from "@manyhands/protocol/run-config";
import type { ComputePort, OptimizerArrays, TrainReport, TrainRequest } from "../host/ports.ts";

export type OrtComputeOptions = {
  /** Threads inside one operation. */
  readonly threads: number;
  /** Microseconds that never run backwards. */
  readonly nowMicros: () => number;
  /** How much memory the process may take. Unknown by default. */
  readonly memoryBytesMax?: number | undefined;
  /** A sentence that a person may want to read. */
  readonly onNotice?: ((sentence: string) => void) | undefined;
};

type Prepared = {
  readonly run: FrozenRun;
  readonly trainer: Trainer;
  readonly evaluator: Evaluator;
  readonly sampler: Sampler;
  readonly validation: Int32Array;
  /** One batch of B × (T + 1) tokens, reused. */
  readonly tokens: Int32Array;
};

export class OrtCompute implements ComputePort {
  readonly numerics = "ort-cpu";
  readonly #options: OrtComputeOptions;
  #prepared: Prepared | null = null;

  constructor(options: OrtComputeOptions) {
    this.#options = options;
  }

  /** @throws MemoryLimitError if the run cannot fit, before anything is compiled */
  async prepare(run: FrozenRun, files: readonly Uint8Array[]): Promise<void> {
    if (this.#prepared) return;
    const { model, recipe, dataset, seed } = run;
    const { threads, memoryBytesMax } = this.#options;
    checkFragments(run);
    const { train, validation } = splitTokens(files, dataset.validationBps);
    const { batchSequences: sequences, contextLength } = recipe;
    const sampler = new Sampler({ train, contextLength, seed });
    const batch = { sequences, contextLength };
    const graph = { runtime: ortNode, model, batch, threads };
    const optimizer = optimizerOptions(recipe);
    const memory = { memoryBytesMax, evaluates: true, otherBytes: heldBytes(run, files) };
    const trainer = await createTrainer({ ...graph, optimizer, ...memory });
    this.#tellPlan(trainer);
    await setImmediate();
    const micro = { contextLength, sequences: trainer.plan?.microBatch ?? sequences };
    const evaluator = await createEvaluator({ ...graph, batch: micro });
    this.#prepared = {
      run,
      trainer,
      evaluator,
      sampler,
      validation: Int32Array.from(validation),
      tokens: new Int32Array(sequences * (contextLength + 1)),
    };
  }

  /** What goes without saying is not said: the whole batch at once, with room to spare. */
  #tellPlan({ plan, batch }: Trainer): void {
    if (plan === undefined) return;
    const whole = plan.microBatch === batch.sequences && plan.recomputation === "none";
    if (!whole || plan.verdict !== "fits") this.#options.onNotice?.(`Memory: ${plan.sentence}.`);
  }

  initialWeights(run: FrozenRun): Float32Array {
    return initialWeights(run.model, run.seed);
  }

  /** In pieces of one batch, so that heartbeats go out meanwhile. */
  async evaluate(
    weights: Float32Array,
    windows: readonly number[],
  ): Promise<{ loss: number; tokens: number }> {
    const { run, evaluator, validation } = this.#parts();
    const { batchSequences } = run.recipe;
    let sum = 0;
    let tokens = 0;
    for (let first = 0; first < windows.length; first += batchSequences) {
      const piece = windows.slice(first, first + batchSequences);
      const part = await evaluator.evaluate(weights, validation, piece);
      sum += part.loss * part.tokens;
      tokens += part.tokens;
      await setImmediate();
    }
    return { loss: sum / tokens, tokens };
  }

  async train(request: TrainRequest): Promise<TrainReport> {
    const { run, trainer, sampler, tokens } = this.#parts();
    const { batchSequences } = run.recipe;
    const { base, firstSample, innerSteps, scale, signal, onStep } = request;
    trainer.weights.set(base);
    let lossSum = 0;
    let microsSum = 0;
    let done = 0;
    while (done < innerSteps && !signal.aborted) {
      const startedAt = this.#options.nowMicros();
      sampler.fill(tokens, firstSample + done * batchSequences, batchSequences);
      const { loss } = await trainer.step(tokens, { learningRateScale: scale(done) });
      const micros = this.#options.nowMicros() - startedAt;
      done += 1;
      lossSum += loss;
      microsSum += micros;
      onStep({ innerStep: done, loss, micros });
      await setImmediate();
    }
    const pseudoGradient = new Float32Array(base.length);
    for (let i = 0; i < base.length; i++) {
      pseudoGradient[i] = (base[i] as number) - (trainer.weights[i] as number);
    }
    const count = Math.max(1, done);
    return {
      innerSteps: done,
      pseudoGradient,
      meanLoss: lossSum / count,
      innerStepMicros: microsSum / count,
    };
  }

  resetOptimizer(): void {
    this.#prepared?.trainer.resetOptimizer();
  }

  optimizer(): OptimizerArrays | null {
    return this.#prepared?.trainer.optimizerState() ?? null;
  }

  loadOptimizer(state: OptimizerArrays): boolean {
    try {
      this.#parts().trainer.loadOptimizerState(state);
      return true;
    } catch (caught) {
      if (caught instanceof InputError) return false;
      throw caught;
    }
  }

  async dispose(): Promise<void> {
    const prepared = this.#prepared;
    this.#prepared = null;
    await prepared?.trainer.dispose();
    await prepared?.evaluator.dispose();
  }

  #parts(): Prepared {
    return defined(this.#prepared, "compute was prepared first");
  }
}

/** A worker's weights, residual, update and what compresses it, each as large as the model. */
const MODEL_COPIES = 5;
/** The worker's code, its connection and its messages, measured. */
const WORKER_BYTES = 30e6;
const FLOAT_BYTES = 4;

/** Bytes that a worker holds beside trainer and evaluator: data, and the run's shared state. */
function heldBytes({ model, dataset }: FrozenRun, files: readonly Uint8Array[]): number {
  const data = files.reduce((sum, file) => sum + file.length, 0);
  const validation = (data * dataset.validationBps) / 10_000;
  // Several files are joined: for a moment there are two of each.
  const joined = files.length > 1 ? data : 0;
  return (
    WORKER_BYTES + data + joined + FLOAT_BYTES * (validation + MODEL_COPIES * parameterCount(model))
  );
}

/** The run's fragments are this engine's parameters, in its order. @throws InputError if not */
function checkFragments(run: FrozenRun): void {
  const here = parameterSpecs(run.model).map(({ name, shape }) => `${name} ${shape.join("×")}`);
  const there = run.fragments.map(({ name, shape }) => `${name} ${shape.join("×")}`);
  const index = here.findIndex((spec, i) => spec !== there[i]);
  if (index < 0 && here.length === there.length) return;
  const at = index < 0 ? here.length : index;
  throw new InputError(
    `fragment ${at}: expected ${here[at] ?? "none"}, found ${there[at] ?? "none"}`,
    { hint: "the run was made for another model code: take the coordinator's own worker" },
  );
}

/** The engine's words for a recipe. */
export function optimizerOptions(recipe: Recipe): OptimizerOptions {
  const { learningRate, adamLearningRate, weightDecay, gradientClip } = recipe;
  if (recipe.optimizer === "adamw") {
    const adamw = { ...ADAMW_RECIPE.adamw, learningRate, weightDecay };
    return { gradientNormMax: gradientClip, adamw };
  }
  const muon = defined(MUON_RECIPE.muon, "Muon's recipe has Muon");
  return {
    gradientNormMax: gradientClip,
    adamw: { ...MUON_RECIPE.adamw, learningRate: adamLearningRate },
    muon: { ...muon, learningRate, weightDecay },
  };
}
