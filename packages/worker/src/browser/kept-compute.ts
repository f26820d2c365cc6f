// A compute port that outlives one stay in the run: a rest ends the stay, and what was compiled is
// used again by the next. Leaves a mark on the shelf while the first step is tried: a tab that dies
// of it finds the mark when it is opened again.
import type { FrozenRun } from "@manyhands/protocol/run-config";
import type { ComputePort, OptimizerArrays, TrainReport, TrainRequest } from "../host/ports.ts";
import type { Backend } from "./backend.ts";
import type { Shelf } from "./shelf.ts";

export class KeptCompute implements ComputePort {
  readonly backend: Backend;
  readonly #inner: ComputePort;
  readonly #shelf: Shelf;
  #isTried = false;

  constructor(inner: ComputePort, backend: Backend, shelf: Shelf) {
    this.#inner = inner;
    this.backend = backend;
    this.#shelf = shelf;
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
    const report = await this.#inner.train(request);
    if (!this.#isTried) await this.#shelf.delete(markOf(this.backend));
    this.#isTried = true;
    return report;
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
    // Whoever leaves while it is still tried has not crashed. A mark that cannot be removed costs
    // the next visit some memory, and nothing else.
    await this.#shelf.delete(markOf(this.backend)).catch(() => undefined);
  }

  release(): Promise<void> {
    return this.#inner.dispose();
  }
}

function markOf(backend: Backend): string {
  return `device/trying/${backend}`;
}

/** Backends that were being tried when this tab's predecessor ended without a word. */
export async function crashedBackends(shelf: Shelf): Promise<readonly Backend[]> {
  const backends: readonly Backend[] = ["gpu", "wasm"];
  const marks = await Promise.all(backends.map((backend) => shelf.get(markOf(backend))));
  return backends.filter((_, index) => marks[index] === true);
}
