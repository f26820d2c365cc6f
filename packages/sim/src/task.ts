// What the swarm learns: the lowest point of a quadratic bowl, from noisy slopes. A round costs
// microseconds, and the loss really falls. Not a language model.
import type { Sha256 } from "@manyhands/base/hash";
import { Random } from "@manyhands/base/random";
import { platformSha256 } from "@manyhands/coordinator/blobs/blob-hasher";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import type {
  ComputePort,
  OptimizerArrays,
  TrainReport,
  TrainRequest,
} from "@manyhands/worker/host/ports";

export const hash: Sha256 = platformSha256;

export const FRAGMENTS: FrozenRun["fragments"] = [
  { name: "bowl.a", shape: [10, 20], dtype: "f32" },
  { name: "bowl.b", shape: [90], dtype: "f32" },
  { name: "bowl.c", shape: [3, 4], dtype: "f32" },
];
export const ELEMENTS = 302;

const LEARNING_RATE = 0.05;
const NOISE = 0.3;
const TARGET_STREAM = 77;

/** Where the bowl is lowest. */
export function lowestPoint(seed: number): Float32Array {
  const random = new Random(seed, TARGET_STREAM);
  return Float32Array.from({ length: ELEMENTS }, () => random.unit() * 4 - 2);
}

/** Mean of (θ − θ*)² / 2. */
export function lossOf(weights: Float32Array, target: Float32Array): number {
  let sum = 0;
  for (const [index, value] of weights.entries()) sum += (value - (target[index] ?? 0)) ** 2 / 2;
  return sum / weights.length;
}

export type Device = {
  /** Waits; never comes back on a device that died. */
  readonly sleep: (ms: number) => Promise<void>;
  readonly stepMs: () => number;
  /** Told of the weights that a training starts from. */
  readonly onBase: (weights: Float32Array) => void;
};

export class BowlCompute implements ComputePort {
  readonly numerics = "reference";
  readonly #device: Device;
  #run: FrozenRun | null = null;
  #target = new Float32Array(ELEMENTS);
  #steps = 0;

  constructor(device: Device) {
    this.#device = device;
  }

  async prepare(run: FrozenRun): Promise<void> {
    await this.#device.sleep(20);
    this.#run = run;
    this.#target = Float32Array.from(lowestPoint(run.seed));
  }

  /** Half of the devices compute the first weights, the others fetch them. */
  initialWeights(run: FrozenRun): Float32Array | null {
    return run.seed % 2 === 0 ? new Float32Array(ELEMENTS) : null;
  }

  async evaluate(
    weights: Float32Array,
    windows: readonly number[],
  ): Promise<{ readonly loss: number; readonly tokens: number }> {
    await this.#device.sleep(windows.length);
    return { loss: lossOf(weights, this.#target), tokens: windows.length };
  }

  async train(request: TrainRequest): Promise<TrainReport> {
    const { base, firstSample, innerSteps, scale, signal, onStep } = request;
    this.#device.onBase(base);
    const weights = base.slice();
    const batch = this.#run?.recipe.batchSequences ?? 1;
    let done = 0;
    let losses = 0;
    let spentMs = 0;
    while (done < innerSteps && !signal.aborted) {
      const ms = this.#device.stepMs();
      await this.#device.sleep(ms);
      const loss = lossOf(weights, this.#target);
      this.#descend(weights, firstSample + done * batch, scale(done));
      done += 1;
      losses += loss;
      spentMs += ms;
      onStep({ innerStep: done, loss, micros: ms * 1_000 });
    }
    this.#steps += done;
    return {
      innerSteps: done,
      pseudoGradient: base.map((value, index) => value - (weights[index] ?? 0)),
      meanLoss: losses / Math.max(1, done),
      innerStepMicros: Math.max(1, (spentMs * 1_000) / Math.max(1, done)),
    };
  }

  /** One step against the slope, with noise that the sample decides. */
  #descend(weights: Float32Array, sample: number, scale: number): void {
    const noise = new Random(sample, 1);
    for (let index = 0; index < weights.length; index++) {
      const value = weights[index] ?? 0;
      const slope = value - (this.#target[index] ?? 0) + (noise.unit() - 0.5) * NOISE;
      weights[index] = value - LEARNING_RATE * scale * slope;
    }
  }

  resetOptimizer(): void {
    this.#steps = 0;
  }

  optimizer(): OptimizerArrays | null {
    const moment1 = Float32Array.of(this.#steps);
    return this.#run ? { step: this.#steps, moment1, moment2: new Float32Array(0) } : null;
  }

  loadOptimizer(state: OptimizerArrays): boolean {
    if (state.moment1.length !== 1) return false;
    this.#steps = state.step;
    return true;
  }

  async dispose(): Promise<void> {
    this.#run = null;
  }
}
