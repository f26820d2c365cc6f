// A trainer whose weights and moments live where the device computes: only tokens go there, only
// the loss comes back. For GPUs. It deliberately has no live array of weights: load and read them.
import { assert, defined } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import { inputName } from "../ir/tensor.ts";
import { type ModelConfig, parameterCount } from "../model/config.ts";
import { type WeightInput, weightInputs } from "../model/decoder.ts";
import type { StatefulExecutable, StatefulRuntime } from "../runtime/runtime.ts";
import { integerPower } from "./adamw.ts";
import type { BatchShape } from "./batch-shape.ts";
import type { OptimizerState, StepOptions } from "./optimizer.ts";
import type { OptimizerOptions } from "./options.ts";
import { type STEP_SCALARS, stepGraph, usesMuon } from "./step-graph.ts";
import { DivergedError, type StepResult } from "./trainer.ts";

export type DeviceTrainerOptions = {
  readonly runtime: StatefulRuntime;
  readonly model: ModelConfig;
  readonly optimizer: OptimizerOptions;
  readonly batch: BatchShape;
};

type Place = WeightInput & { readonly moment2Offset: number | undefined };

/** Where everything of the state is in the flat arrays of checkpoints. */
function placesOf(model: ModelConfig, options: OptimizerOptions): readonly Place[] {
  let next = 0;
  return weightInputs(model).map((input) => {
    if (usesMuon(input, options)) return { ...input, moment2Offset: undefined };
    const moment2Offset = next;
    next += input.size;
    return { ...input, moment2Offset };
  });
}

class DeviceTrainer {
  readonly model: ModelConfig;
  readonly batch: BatchShape;
  readonly #options: OptimizerOptions;
  readonly #executable: StatefulExecutable;
  readonly #scalars: readonly string[];
  readonly #places: readonly Place[];
  readonly #size: number;
  readonly #moment2Size: number;
  #step = 0;
  #busy = false;

  constructor(
    options: DeviceTrainerOptions,
    executable: StatefulExecutable,
    scalars: readonly string[],
  ) {
    this.model = options.model;
    this.batch = options.batch;
    this.#options = options.optimizer;
    this.#executable = executable;
    this.#scalars = scalars;
    this.#places = placesOf(options.model, options.optimizer);
    this.#size = parameterCount(options.model);
    this.#moment2Size = this.#places.reduce(
      (sum, { moment2Offset, size }) => sum + (moment2Offset === undefined ? 0 : size),
      0,
    );
  }

  /** @param weights flat, in the order of parameterSpecs */
  async loadWeights(weights: Float32Array): Promise<void> {
    if (weights.length !== this.#size) throw new InputError("the weights are another model's");
    const entries = this.#places.map(({ name, offset, size }) => {
      return [name, weights.subarray(offset, offset + size)] as const;
    });
    await this.#executable.load(Object.fromEntries(entries));
  }

  /** A copy of the weights. */
  async readWeights(): Promise<Float32Array> {
    const state = await this.#executable.read();
    const weights = new Float32Array(this.#size);
    for (const { name, offset } of this.#places) weights.set(part(state, name), offset);
    return weights;
  }

  /** A copy of the optimiser's state, as Trainer's. */
  async optimizerState(): Promise<OptimizerState> {
    const state = await this.#executable.read();
    const moment1 = new Float32Array(this.#size);
    const moment2 = new Float32Array(this.#moment2Size);
    for (const { name, offset, moment2Offset } of this.#places) {
      moment1.set(part(state, `m ${name}`), offset);
      if (moment2Offset !== undefined) moment2.set(part(state, `v ${name}`), moment2Offset);
    }
    return { step: this.#step, moment1, moment2 };
  }

  /** @throws InputError if the state belongs to another model or recipe */
  async loadOptimizerState({ step, moment1, moment2 }: OptimizerState): Promise<void> {
    if (moment1.length !== this.#size || moment2.length !== this.#moment2Size) {
      throw new InputError("the optimiser state belongs to another model or recipe");
    }
    const state: Record<string, Float32Array> = {};
    for (const { name, offset, size, moment2Offset } of this.#places) {
      state[`m ${name}`] = moment1.subarray(offset, offset + size);
      if (moment2Offset === undefined) continue;
      state[`v ${name}`] = moment2.subarray(moment2Offset, moment2Offset + size);
    }
    await this.#executable.load(state);
    this.#step = step;
  }

  /** Forgets the optimiser's state: as before the first step. */
  resetOptimizer(): Promise<void> {
    const moment1 = new Float32Array(this.#size);
    return this.loadOptimizerState({
      step: 0,
      moment1,
      moment2: new Float32Array(this.#moment2Size),
    });
  }

  /**
   * One step, as Trainer.step: loss and gradients of the batch, clipping, update.
   *
   * @throws DivergedError if the loss or the gradient is not finite; nothing has changed then
   */
  async step(tokens: Int32Array, options: StepOptions = {}): Promise<StepResult> {
    assert(!this.#busy, "a trainer takes one step at a time");
    this.#busy = true;
    try {
      return await this.#takeStep(tokens, options);
    } finally {
      this.#busy = false;
    }
  }

  async #takeStep(tokens: Int32Array, options: StepOptions): Promise<StepResult> {
    const scalars = this.#scalarFeeds(options);
    const isGood = ({ loss, norm }: Readonly<Record<string, Float32Array>>): boolean =>
      Number.isFinite(loss?.[0]) && Number.isFinite(norm?.[0]);
    const feeds = { ...splitTokens(tokens, this.batch), ...scalars };
    const turn = (this.#step + 1) % (this.#options.muon?.every ?? 1);
    const outputs = await this.#executable.run(feeds, isGood, turn);
    const loss = outputs["loss"]?.[0] ?? Number.NaN;
    const gradientNorm = outputs["norm"]?.[0] ?? Number.NaN;
    if (!isGood(outputs)) {
      throw new DivergedError(`the loss is ${loss}, the gradient's norm ${gradientNorm}`, {
        hint: "lower the learning rate, or check the data",
      });
    }
    this.#step += 1;
    return { loss, gradientNorm };
  }

  #scalarFeeds(options: StepOptions): Record<string, Float32Array> {
    const { adamw, muon } = this.#options;
    const scale = options.learningRateScale ?? 1;
    const rate = adamw.learningRate * scale;
    const step = this.#step + 1;
    const muonRate = (muon?.learningRate ?? 0) * scale * (muon?.every ?? 1);
    const values: Record<(typeof STEP_SCALARS)[number], number> = {
      "adamw step size": rate / (1 - integerPower(adamw.beta1, step)),
      "adamw root factor": 1 / Math.sqrt(1 - integerPower(adamw.beta2, step)),
      "adamw keep": 1 - rate * adamw.weightDecay,
      "muon rate": muonRate,
      "muon keep": 1 - muonRate * (muon?.weightDecay ?? 0),
      "muon momentum": options.muonMomentum ?? muon?.momentum ?? 0,
    };
    const used = Object.entries(values).filter(([name]) => this.#scalars.includes(name));
    return Object.fromEntries(used.map(([name, value]) => [name, Float32Array.of(value)]));
  }

  dispose(): Promise<void> {
    return this.#executable.dispose();
  }
}

/** B × (T + 1) ids, row by row, as T inputs and their T next tokens. */
function splitTokens(tokens: Int32Array, batch: BatchShape): Record<string, Int32Array> {
  const row = batch.contextLength + 1;
  const size = batch.sequences * row;
  assert(tokens.length === size, `a batch has ${batch.sequences} × ${row} tokens`);
  return {
    ids: tokens.filter((_, index) => index % row !== row - 1),
    targets: tokens.filter((_, index) => index % row !== 0),
  };
}

function part(state: Readonly<Record<string, Float32Array>>, name: string): Float32Array {
  return defined(state[name], `the state has ${name}`);
}

/**
 * Compiles the step. The weights start as zeros: load them.
 *
 * @throws InputError   if the model's config is not a model
 * @throws RuntimeError if the runtime rejects the graph
 */
export async function createDeviceTrainer(options: DeviceTrainerOptions): Promise<DeviceTrainer> {
  const { model, batch, optimizer } = options;
  const turns = Array.from({ length: optimizer.muon?.every ?? 1 }, (_, turn) =>
    stepGraph(model, batch, optimizer, turn),
  );
  const executable = await options.runtime.compileStateful(...turns);
  const inputs = turns.flatMap(({ graph }) => graph.inputs.map(inputName));
  const trainer = new DeviceTrainer(options, executable, inputs);
  await trainer.loadWeights(new Float32Array(parameterCount(options.model)));
  await trainer.resetOptimizer();
  return trainer;
}
