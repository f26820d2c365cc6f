// The compute port on the engine: trainer and evaluator behind the host's words, on any backend.
// A step blocks the thread while it runs (tens of milliseconds), so between steps the event loop
// gets its turn.
import { defined } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import { Sampler } from "@manyhands/engine/data/sampler";
import { initialWeights } from "@manyhands/engine/model/initial-weights";
import type { Runtime } from "@manyhands/engine/runtime/runtime";
import { createEvaluator } from "@manyhands/engine/train/evaluate";
import type { Numerics } from "@manyhands/protocol/events";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import type { ComputePort, OptimizerArrays, TrainReport, TrainRequest } from "../host/ports.ts";
import { adapterParts } from "./adapter-parts.ts";
import type { HeldGpu } from "./held-gpu.ts";
import { checkFragments, heldBytes, optimizerOptions, tokensOf } from "./run-facts.ts";
import type { MakeStepper, Stepper, TrainingParts } from "./stepper.ts";

export type EngineComputeOptions = {
  readonly numerics: Numerics;
  readonly runtime: Runtime;
  /** What takes the steps on this runtime. */
  readonly makeStepper: MakeStepper;
  /**
   * Awaited after each step and between the parts of long work: lets the event loop have its turn,
   * or rests for longer. The signal ends a rest.
   */
  readonly pace: (micros: number, signal?: AbortSignal) => Promise<void>;
  /** Threads inside one operation. */
  readonly threads: number;
  /** Microseconds that never run backwards. */
  readonly nowMicros: () => number;
  /** How much memory the process may take. Unknown by default. */
  readonly memoryBytesMax?: number | undefined;
  /** A GPU that draws too, so that adapters' steps must not hold it for long either. */
  readonly gpu?: HeldGpu | undefined;
  /** A sentence that a person may want to read. */
  readonly onNotice?: ((sentence: string) => void) | undefined;
};

type Prepared = {
  readonly run: FrozenRun;
  readonly stepper: Stepper;
  readonly evaluator: TrainingParts["evaluator"];
  readonly sampler: Sampler;
  readonly validation: Int32Array;
  /** One batch of B × (T + 1) tokens, reused. */
  readonly tokens: Int32Array;
};

export class EngineCompute implements ComputePort {
  readonly numerics: Numerics;
  readonly #options: EngineComputeOptions;
  #prepared: Prepared | null = null;

  constructor(options: EngineComputeOptions) {
    this.numerics = options.numerics;
    this.#options = options;
  }

  /** @throws MemoryLimitError if the run cannot fit, before anything is compiled */
  async prepare(run: FrozenRun, files: readonly Uint8Array[]): Promise<void> {
    if (this.#prepared) return;
    const { recipe, dataset, seed } = run;
    checkFragments(run);
    const data = files.slice(0, dataset.files.length);
    const { train, validation } = tokensOf(run, data);
    const { batchSequences: sequences, contextLength } = recipe;
    const sampler = new Sampler({ train, contextLength, seed });
    const { stepper, evaluator } = await this.#partsFor(run, data, files.at(dataset.files.length));
    this.#tellPlan(stepper, sequences);
    this.#prepared = {
      run,
      stepper,
      evaluator,
      sampler,
      validation: Int32Array.from(validation),
      tokens: new Int32Array(sequences * (contextLength + 1)),
    };
  }

  async #partsFor(
    run: FrozenRun,
    data: readonly Uint8Array[],
    base: Uint8Array | undefined,
  ): Promise<TrainingParts> {
    const { runtime, threads, memoryBytesMax, pace, makeStepper, gpu } = this.#options;
    const { model, recipe } = run;
    const otherBytes = heldBytes(run, data);
    const { batchSequences: sequences, contextLength } = recipe;
    if (base) {
      const turn = (): Promise<void> => pace(0);
      const device = { runtime, threads, memoryBytesMax, otherBytes, turn, gpu };
      return adapterParts(run, base, device);
    }
    const stepper = await makeStepper({
      model,
      batch: { sequences, contextLength },
      optimizer: optimizerOptions(recipe),
      threads,
      memoryBytesMax,
      evaluates: true,
      otherBytes,
    });
    await pace(0);
    const micro = { contextLength, sequences: stepper.microBatch };
    return { stepper, evaluator: await createEvaluator({ runtime, model, threads, batch: micro }) };
  }

  /** What goes without saying is not said: the whole batch at once, with room to spare. */
  #tellPlan({ plan, microBatch }: Stepper, sequences: number): void {
    if (plan === undefined) return;
    const whole = microBatch === sequences && plan.recomputation === "none";
    if (!whole || plan.verdict !== "fits") this.#options.onNotice?.(`Memory: ${plan.sentence}.`);
  }

  /** Of a model from nothing; what begins with a trained model begins with the coordinator's. */
  initialWeights(run: FrozenRun): Float32Array | null {
    return run.tuning ? null : initialWeights(run.model, run.seed);
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
      const startedAt = this.#options.nowMicros();
      const piece = windows.slice(first, first + batchSequences);
      const part = await evaluator.evaluate(weights, validation, piece);
      sum += part.loss * part.tokens;
      tokens += part.tokens;
      await this.#options.pace(this.#options.nowMicros() - startedAt);
    }
    return { loss: sum / tokens, tokens };
  }

  async train(request: TrainRequest): Promise<TrainReport> {
    const { run, stepper, sampler, tokens } = this.#parts();
    const { batchSequences } = run.recipe;
    const { base, firstSample, innerSteps, scale, signal, onStep } = request;
    await stepper.load(base);
    let lossSum = 0;
    let microsSum = 0;
    let done = 0;
    while (done < innerSteps && !signal.aborted) {
      const startedAt = this.#options.nowMicros();
      sampler.fill(tokens, firstSample + done * batchSequences, batchSequences);
      const { loss } = await stepper.step(tokens, { learningRateScale: scale(done) });
      const micros = this.#options.nowMicros() - startedAt;
      done += 1;
      lossSum += loss;
      microsSum += micros;
      onStep({ innerStep: done, loss, micros });
      await this.#options.pace(micros, signal);
    }
    const local = await stepper.weights();
    const pseudoGradient = new Float32Array(base.length);
    for (let i = 0; i < base.length; i++) {
      pseudoGradient[i] = (base[i] as number) - (local[i] as number);
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
    this.#prepared?.stepper.resetOptimizer();
  }

  optimizer(): OptimizerArrays | null {
    return this.#prepared?.stepper.optimizer() ?? null;
  }

  loadOptimizer(state: OptimizerArrays): boolean {
    try {
      this.#parts().stepper.loadOptimizer(state);
      return true;
    } catch (caught) {
      if (caught instanceof InputError) return false;
      throw caught;
    }
  }

  async dispose(): Promise<void> {
    const prepared = this.#prepared;
    this.#prepared = null;
    await prepared?.stepper.dispose();
    await prepared?.evaluator.dispose();
  }

  #parts(): Prepared {
    return defined(this.#prepared, "compute was prepared first");
  }
}
