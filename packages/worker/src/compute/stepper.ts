// What takes inner steps, wherever weights and moments live: in this process's memory, or on a GPU,
// from where they are read once a round. No rounds, no data.
import { InputError } from "@manyhands/base/errors";
import { parameterCount } from "@manyhands/engine/model/config";
import {
  MemoryLimitError,
  type PlanRequest,
  planTraining,
  type TrainingPlan,
} from "@manyhands/engine/plan/plan-training";
import type { Runtime, StatefulRuntime } from "@manyhands/engine/runtime/runtime";
import { createDeviceTrainer } from "@manyhands/engine/train/device-trainer";
import type { Evaluator } from "@manyhands/engine/train/evaluate";
import { createTrainer, type StepResult } from "@manyhands/engine/train/trainer";
import type { OptimizerArrays } from "../host/ports.ts";

export type Stepper = {
  /** What was chosen to stay within the memory, if a limit was given. */
  readonly plan: TrainingPlan | undefined;
  /** Sequences that are computed at once. */
  readonly microBatch: number;
  load(weights: Float32Array): Promise<void>;
  step(tokens: Int32Array, options: { readonly learningRateScale: number }): Promise<StepResult>;
  /** The weights after the last step; read only, and only until the next one. */
  weights(): Promise<Float32Array>;
  /** As it was when the weights were last read. */
  optimizer(): OptimizerArrays;
  /** @throws InputError if the state belongs to another model or recipe */
  loadOptimizer(state: OptimizerArrays): void;
  resetOptimizer(): void;
  dispose(): Promise<void>;
};

/** What takes steps, and what measures weights that are given to it. */
export type TrainingParts = {
  readonly stepper: Stepper;
  readonly evaluator: Pick<Evaluator, "evaluate" | "dispose">;
};

export type StepperRequest = Omit<PlanRequest, "microBatch" | "recomputation">;

export type MakeStepper = (request: StepperRequest) => Promise<Stepper>;

/** Weights and moments in this process. @throws MemoryLimitError before anything is allocated */
export function hostStepper(runtime: Runtime): MakeStepper {
  return async (request) => {
    const trainer = await createTrainer({ ...withoutUnset(request), runtime });
    return {
      plan: trainer.plan,
      microBatch: trainer.plan?.microBatch ?? request.batch.sequences,
      load: async (weights) => trainer.weights.set(weights),
      step: (tokens, options) => trainer.step(tokens, options),
      weights: async () => trainer.weights,
      optimizer: () => trainer.optimizerState(),
      loadOptimizer: (state) => trainer.loadOptimizerState(state),
      resetOptimizer: () => trainer.resetOptimizer(),
      dispose: () => trainer.dispose(),
    };
  };
}

/** Options that are not set are left out, as createTrainer wants them. */
function withoutUnset({ threads, evaluates, otherBytes, ...rest }: StepperRequest) {
  return {
    ...rest,
    ...(threads === undefined ? {} : { threads }),
    ...(evaluates === undefined ? {} : { evaluates }),
    ...(otherBytes === undefined ? {} : { otherBytes }),
  };
}

/**
 * Weights and moments on the device; whole batches only, since its graph is one.
 *
 * @throws MemoryLimitError before anything is allocated
 */
export function deviceStepper(runtime: StatefulRuntime): MakeStepper {
  return async (request) => {
    const { model, optimizer, batch } = request;
    const plan = planTraining({ ...request, microBatch: batch.sequences, recomputation: "none" });
    if (plan.verdict === "tooLarge") throw new MemoryLimitError(plan);
    const trainer = await createDeviceTrainer({ runtime, model, optimizer, batch });
    const size = parameterCount(model);
    let kept = await trainer.optimizerState();
    // The device is told before the next round's first step: the port's words return at once.
    let isNew = false;
    return {
      plan: request.memoryBytesMax === undefined ? undefined : plan,
      microBatch: batch.sequences,
      async load(weights) {
        await trainer.loadWeights(weights);
        if (isNew) await trainer.loadOptimizerState(kept);
        isNew = false;
      },
      step: (tokens, options) => trainer.step(tokens, options),
      async weights() {
        kept = await trainer.optimizerState();
        return trainer.readWeights();
      },
      optimizer: () => kept,
      loadOptimizer(state) {
        const fits = state.moment1.length === size && state.moment2.length === kept.moment2.length;
        if (!fits) throw new InputError("the optimiser state belongs to another model or recipe");
        kept = state;
        isNew = true;
      },
      resetOptimizer() {
        const { moment1, moment2 } = kept;
        const zeros = ({ length }: Float32Array) => new Float32Array(length);
        kept = { step: 0, moment1: zeros(moment1), moment2: zeros(moment2) };
        isNew = true;
      },
      dispose: () => trainer.dispose(),
    };
  };
}
