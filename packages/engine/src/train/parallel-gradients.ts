// Loss and gradients of one micro-batch by several threads: each has a single-threaded session and
// its share of the sequences, and the shares' gradients are added in a fixed order.
// It deliberately knows no thread library: the runtime starts the threads.
import { assert } from "@manyhands/base/assert";
import { parameterCount } from "../model/config.ts";
import type { Runtime, Thread } from "../runtime/runtime.ts";
import type { FlatArrays, GradientSource, MicroBatch, MicroTokens } from "./gradient-source.ts";

/** What a thread is given: its share, and the memory that all threads see. */
export type ThreadWork = {
  readonly micro: MicroBatch;
  readonly recomputation: "none" | "blocks";
  /** The first of its sequences in the whole micro-batch. */
  readonly firstSequence: number;
  readonly memory: SharedMemory;
  readonly results: ThreadResults;
};

/** What the first thread tells the others. */
export type SharedMemory = {
  /** CONTROL_* below. */
  readonly control: Int32Array<SharedArrayBuffer>;
  readonly weights: Float32Array<SharedArrayBuffer>;
  /** [B, T] of the whole micro-batch. */
  readonly ids: Int32Array<SharedArrayBuffer>;
  readonly targets: Int32Array<SharedArrayBuffer>;
};

/** What a thread answers. */
export type ThreadResults = {
  /** One element: how many runs are done. Compiling counts as one. */
  readonly done: Int32Array<SharedArrayBuffer>;
  readonly gradients: Float32Array<SharedArrayBuffer>;
  readonly loss: Float64Array<SharedArrayBuffer>;
};

/** Runs that were asked for; a thread waits for this to change. */
export const CONTROL_RUNS = 0;
/** How often the shared weights were written. */
export const CONTROL_WEIGHTS = 1;
/** 1 once the threads should end. */
export const CONTROL_STOP = 2;

/** Instead of a count of runs: the thread has failed. */
const FAILED = -1;

/** A thread, as those who wait for it see it. */
class Member {
  readonly thread: Thread | undefined;
  readonly results: ThreadResults;
  #error: Error | undefined;

  constructor(micro: MicroBatch, start: (member: Member) => Thread | undefined) {
    this.results = threadResults(micro);
    this.thread = start(this);
  }

  fail(error: Error): void {
    this.#error ??= error;
    Atomics.store(this.results.done, 0, FAILED);
    Atomics.notify(this.results.done, 0);
  }

  /** Resolves once the thread has done this many runs; rejects if it fails. */
  async finished(runs: number): Promise<void> {
    const { done } = this.results;
    this.thread?.hold();
    try {
      for (let seen = Atomics.load(done, 0); seen < runs; seen = Atomics.load(done, 0)) {
        if (seen === FAILED) throw this.#error;
        const wait = Atomics.waitAsync(done, 0, seen);
        if (wait.async) await wait.value;
      }
    } finally {
      this.thread?.release();
    }
  }
}

/** The whole micro-batch, and what makes the source of this thread's share. */
type TeamWork = {
  readonly micro: MicroBatch;
  readonly recomputation: "none" | "blocks";
  readonly arrays: FlatArrays;
  readonly own: (micro: MicroBatch) => Promise<GradientSource>;
};

/** A source whose threads each compute the gradients of their share of the sequences. */
export class ParallelGradients implements GradientSource {
  readonly #arrays: FlatArrays;
  readonly #memory: SharedMemory;
  readonly #members: readonly Member[];
  readonly #own: GradientSource;
  readonly #ownSize: number;

  private constructor(
    arrays: FlatArrays,
    team: { readonly memory: SharedMemory; readonly members: readonly Member[] },
    own: { readonly source: GradientSource; readonly size: number },
  ) {
    this.#arrays = arrays;
    this.#memory = team.memory;
    this.#members = team.members;
    this.#own = own.source;
    this.#ownSize = own.size;
  }

  /** @returns undefined if the runtime cannot start its threads here */
  static async create(
    device: { readonly runtime: Runtime; readonly threads: number },
    work: TeamWork,
  ): Promise<ParallelGradients | undefined> {
    const { micro, recomputation, arrays } = work;
    const [first, ...others] = sharesOf(micro, device.threads);
    assert(first !== undefined, "there is one share or more");
    const memory = sharedMemory(micro);
    const members: Member[] = [];
    const module = new URL("./gradient-thread.ts", import.meta.url);
    for (const share of others) {
      const member = new Member(micro, (self) => {
        const data: ThreadWork = { ...share, recomputation, memory, results: self.results };
        return device.runtime.startThread?.(module, data, (error) => self.fail(error));
      });
      if (member.thread === undefined) return undefined;
      members.push(member);
    }
    const source = await work.own(first.micro);
    await Promise.all(members.map((member) => member.finished(1)));
    const size = first.micro.sequences * micro.contextLength;
    return new ParallelGradients(arrays, { memory, members }, { source, size });
  }

  async run(tokens: MicroTokens, mode: "overwrite" | "add"): Promise<number> {
    const { control, ids, targets } = this.#memory;
    // Later micro-batches of a step see the weights of the first.
    if (mode === "overwrite") this.#publishWeights();
    ids.set(tokens.ids);
    targets.set(tokens.targets);
    const runs = Atomics.add(control, CONTROL_RUNS, 1) + 1;
    Atomics.notify(control, CONTROL_RUNS);
    const mine = {
      ids: tokens.ids.subarray(0, this.#ownSize),
      targets: tokens.targets.subarray(0, this.#ownSize),
    };
    const waits = this.#members.map((member) => member.finished(runs + 1));
    let loss = await this.#own.run(mine, mode);
    for (const [index, { results }] of this.#members.entries()) {
      await waits[index];
      this.#arrays.memory.add(this.#arrays.gradients, results.gradients);
      loss += results.loss[0] ?? Number.NaN;
    }
    return loss;
  }

  #publishWeights(): void {
    this.#memory.weights.set(this.#arrays.weights);
    Atomics.add(this.#memory.control, CONTROL_WEIGHTS, 1);
  }

  async dispose(): Promise<void> {
    const { control } = this.#memory;
    Atomics.store(control, CONTROL_STOP, 1);
    Atomics.add(control, CONTROL_RUNS, 1);
    Atomics.notify(control, CONTROL_RUNS);
    await Promise.all([this.#own.dispose(), ...this.#members.map(({ thread }) => thread?.ended())]);
  }
}

function sharedMemory(micro: MicroBatch): SharedMemory {
  const tokens = micro.sequences * micro.contextLength;
  return {
    control: new Int32Array(new SharedArrayBuffer(3 * 4)),
    weights: new Float32Array(new SharedArrayBuffer(parameterCount(micro.model) * 4)),
    ids: new Int32Array(new SharedArrayBuffer(tokens * 4)),
    targets: new Int32Array(new SharedArrayBuffer(tokens * 4)),
  };
}

function threadResults(micro: MicroBatch): ThreadResults {
  return {
    done: new Int32Array(new SharedArrayBuffer(4)),
    gradients: new Float32Array(new SharedArrayBuffer(parameterCount(micro.model) * 4)),
    loss: new Float64Array(new SharedArrayBuffer(8)),
  };
}

type Share = { readonly micro: MicroBatch; readonly firstSequence: number };

/** The sequences in runs of equal length, or of two lengths that differ by one. */
function sharesOf(micro: MicroBatch, threads: number): readonly Share[] {
  const bounds = Array.from({ length: threads + 1 }, (_, rank) =>
    Math.floor((rank * micro.sequences) / threads),
  );
  return bounds.slice(1).map((end, rank) => {
    const firstSequence = bounds[rank] ?? 0;
    const sequences = end - firstSequence;
    const share = (micro.share * sequences) / micro.sequences;
    return { micro: { ...micro, sequences, share }, firstSequence };
  });
}
