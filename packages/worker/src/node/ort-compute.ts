// The compute port on ONNX Runtime's CPU backend: the engine's trainer and evaluator behind the
// host's words. A step blocks the thread while it runs (tens of milliseconds), so between steps the
// event loop gets its turn.
import { setImmediate } from "node:timers/promises";
import { defined } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import { splitTokens } from "@manyhands/engine/data/dataset";
import { Sampler } from "@manyhands/engine/data/sampler";
import { parameterSpecs } from "@manyhands/engine/model/config";
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

  async prepare(run: FrozenRun, files: readonly Uint8Array[]): Promise<void> {
    if (this.#prepared) return;
    const { model, recipe, dataset, seed } = run;
    const { threads } = this.#options;
    checkFragments(run);
    const { train, validation } = splitTokens(files, dataset.validationBps);
    const { batchSequences: sequences, contextLength } = recipe;
    const sampler = new Sampler({ train, contextLength, seed });
    const batch = { sequences, contextLength };
    const graph = { runtime: ortNode, model, batch, threads };
    const trainer = await createTrainer({ ...graph, optimizer: optimizerOptions(recipe) });
    await setImmediate();
    const evaluator = await createEvaluator(graph);
    this.#prepared = {
      run,
      trainer,
      evaluator,
      sampler,
      validation: Int32Array.from(validation),
      tokens: new Int32Array(sequences * (contextLength + 1)),
    };
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
