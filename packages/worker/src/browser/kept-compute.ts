// A compute port that outlives one stay in the run: a rest ends the stay, and what was compiled is
// used again by the next. Leaves a mark on the shelf while the first step is tried: a tab that dies
// of it finds the mark when it is opened again.
import type { FrozenRun } from "@manyhands/protocol/run-config";
import type { ComputePort, OptimizerArrays, TrainReport, TrainRequest } from "../host/ports.ts";
import type { Backend } from "./backend.ts";
import type { Shelf } from "./shelf.ts";

export type KeptComputeOptions = {
  readonly backend: Backend;
  readonly shelf: Shelf;
  readonly afterTraining: () => Promise<void>;
};

export class KeptCompute implements ComputePort {
  readonly backend: Backend;
  readonly #inner: ComputePort;
  readonly #shelf: Shelf;
  readonly #afterTraining: () => Promise<void>;
  #isTried = false;

  /** @param afterTraining awaited when a round's inner steps are done */
  constructor(inner: ComputePort, { backend, shelf, afterTraining }: KeptComputeOptions) {
    this.#inner = inner;
    this.backend = backend;
    this.#shelf = shelf;
    this.#afterTraining = afterTraining;
  }

  get numerics(): ComputePort["numerics"] {
    return this.#inner.numerics;
  }

  async prepare(run: FrozenRun, files: readonly Uint8Array[]): Promise<void> {
    if (!this.#isTried) await this.#shelf.put(markOf(this.backend), true, { durable: true });
    try {
      await this.#inner.prepare(run, files);
    } catch (caught) {
      // It failed with words, so it did not kill the tab.
      await this.#shelf.delete(markOf(this.backend));
      throw caught;
    }
  }

  initialWeights(run: FrozenRun): Float32Array | null {
    return this.#inner.initialWeights(run);
  }

  evaluate(
    weights: Float32Array,
    windows: readonly number[],
  ): Promise<{ readonly loss: number; readonly tokens: number }> {
    return this.#inner.evaluate(weights, windows);
  }

  async train(request: TrainRequest): Promise<TrainReport> {
    const report = await this.#inner.train({
      ...request,
      onStep: (step) => {
        void this.#survived();
        request.onStep(step);
      },
    });
    await this.#afterTraining();
    return report;
  }

  /** One step is what it takes to know: the mark goes with the first. */
  async #survived(): Promise<void> {
    if (this.#isTried) return;
    this.#isTried = true;
    // A mark that cannot be removed costs the next visit some memory, and nothing else.
    await this.#shelf.delete(markOf(this.backend)).catch(() => undefined);
  }

  resetOptimizer(): void {
    this.#inner.resetOptimizer();
  }

  optimizer(): OptimizerArrays | null {
    return this.#inner.optimizer();
  }

  loadOptimizer(state: OptimizerArrays): boolean {
    return this.#inner.loadOptimizer(state);
  }

  /** The stay is over; the compiled graphs are not. */
  async dispose(): Promise<void> {
    // Whoever leaves while it is still tried has not crashed.
    await this.#shelf.delete(markOf(this.backend)).catch(() => undefined);
  }

  release(): Promise<void> {
    return this.#inner.dispose();
  }
}

function markOf(backend: Backend): string {
  return `device/trying/${backend}`;
}

export type Crashes = {
  /** Backends during whose first step a visit ended without a word. */
  readonly backends: readonly Backend[];
  /** The person has not pressed the button since. */
  readonly isNew: boolean;
};

const BACKENDS: readonly Backend[] = ["gpu", "wasm"];
/** A mark that the person has gone on from: the backend stays in doubt until a step succeeds. */
const KNOWN = "known";

export async function crashesOn(shelf: Shelf): Promise<Crashes> {
  const marks = await Promise.all(BACKENDS.map((backend) => shelf.get(markOf(backend))));
  return {
    backends: BACKENDS.filter((_, index) => marks[index] === true || marks[index] === KNOWN),
    isNew: marks.includes(true),
  };
}

/** The person goes on all the same. */
export async function knowCrashes(shelf: Shelf): Promise<void> {
  const { backends } = await crashesOn(shelf);
  for (const backend of backends) await shelf.put(markOf(backend), KNOWN);
}
