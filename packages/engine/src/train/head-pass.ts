// Runs the head's graphs over all pieces of the vocabulary, for loss and slopes or for loss alone.
// It deliberately holds no logits: only what pieces leave for the next.
import { defined } from "@manyhands/base/assert";
import { type Graph, inputName } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import type { StoredTensor } from "../quantize/base-model.ts";
import { packedLengths } from "../quantize/formats.ts";
import type { Executable, Feeds } from "../runtime/runtime.ts";
import { scalesName } from "./adapter-graphs.ts";
import { type AdapterBatch, type AdapterWork, storedFeeds } from "./adapter-work.ts";
import { headPieces, lossGraph, MAXIMUM_START, normedGraph, pieceGraph } from "./head-graphs.ts";

type Pass = { readonly pieces: ReadonlyMap<number, Executable>; readonly loss: Executable };
type Sums = { readonly m: Float32Array; readonly s: Float32Array; readonly o: Float32Array };

export class HeadPass {
  readonly #work: AdapterWork;
  readonly #name: string;
  /** Views of each piece's rows, made once. */
  readonly #pieces: readonly { readonly size: number; readonly feeds: Feeds }[];
  readonly #norm: Feeds;
  readonly #normed: Executable;
  readonly #slopes: Pass;
  #lossOnly: Pass | undefined;
  readonly #x: Float32Array;
  readonly #rows: Float32Array;
  /** What a piece reads and what it writes, in turns. */
  readonly #sums: readonly [Sums, Sums];
  readonly #loss = new Float32Array(1);

  private constructor(work: AdapterWork, normed: Executable, slopes: Pass) {
    const { setup, base } = work;
    const decoder = decoderOf(setup.model);
    const rows = setup.batch.sequences * setup.batch.contextLength;
    this.#work = work;
    this.#name = decoder.headName;
    this.#pieces = pieceFeeds(base.tensor(this.#name), sizesOf(work));
    this.#norm = normFeeds(work, normedGraph(setup));
    this.#normed = normed;
    this.#slopes = slopes;
    this.#x = new Float32Array(rows * decoder.hiddenSize);
    this.#rows = new Float32Array(rows * decoder.hiddenSize);
    const sums = (): Sums => {
      const column = (): Float32Array => new Float32Array(rows);
      return { m: column(), s: column(), o: new Float32Array(rows * decoder.hiddenSize) };
    };
    this.#sums = [sums(), sums()];
  }

  static async create(work: AdapterWork): Promise<HeadPass> {
    const { runtime, threads, setup } = work;
    const normed = await runtime.compile(normedGraph(setup), { threads });
    return new HeadPass(work, normed, await compilePass(work, true));
  }

  /** Σ share · cross-entropy of what leaves the last block, and its gradient into dx. */
  async slopes(x: Float32Array, batch: AdapterBatch, dx: Float32Array): Promise<number> {
    return this.#pass(this.#slopes, { x, batch, dx });
  }

  /** Σ share · cross-entropy alone. */
  async loss(x: Float32Array, batch: AdapterBatch): Promise<number> {
    this.#lossOnly ??= await compilePass(this.#work, false);
    return this.#pass(this.#lossOnly, { x, batch });
  }

  async #pass(
    { pieces, loss }: Pass,
    { x, batch, dx }: { x: Float32Array; batch: AdapterBatch; dx?: Float32Array },
  ): Promise<number> {
    await this.#normed.run({ ...this.#norm, x }, { y: this.#x });
    let [before, after] = this.#sums;
    before.m.fill(MAXIMUM_START);
    before.s.fill(0);
    before.o.fill(0);
    for (const { size, feeds } of this.#pieces) {
      const into = { "next m": after.m, "next s": after.s, ...(dx && { "next o": after.o }) };
      const session = defined(pieces.get(size), "each size of piece has a graph");
      await session.run({ ...feeds, ...before, x: this.#x }, into);
      [before, after] = [after, before];
    }
    this.#readTargets(batch.targets);
    const feeds = { ...this.#norm, ...before, x, rows: this.#rows, share: batch.share };
    await loss.run(feeds, { loss: this.#loss, ...(dx && { dx }) });
    return defined(this.#loss[0], "a run gives its loss");
  }

  /** The head's row of each target; the first row where nothing is counted. */
  #readTargets(targets: Int32Array): void {
    const counted = targets.map((target) => Math.max(0, target));
    this.#work.base.readRows(this.#name, counted, this.#rows);
  }

  async dispose(): Promise<void> {
    const passes = [this.#slopes, ...(this.#lossOnly ? [this.#lossOnly] : [])];
    const all = passes.flatMap(({ pieces, loss }) => [...pieces.values(), loss]);
    await Promise.all([this.#normed, ...all].map((session) => session.dispose()));
  }
}

function sizesOf({ setup, base }: AdapterWork): readonly number[] {
  const { sequences, contextLength } = setup.batch;
  const [vocabulary = 1, width = 1] = base.tensor(decoderOf(setup.model).headName).shape;
  return headPieces(vocabulary, sequences * contextLength, width);
}

async function compilePass(work: AdapterWork, slopes: boolean): Promise<Pass> {
  const { runtime, threads, setup, base } = work;
  const { kind } = base.tensor(decoderOf(setup.model).headName);
  const pieces = new Map<number, Executable>();
  for (const size of new Set(sizesOf(work))) {
    const graph = pieceGraph(setup, { size, kind }, slopes);
    pieces.set(size, await runtime.compile(graph, { threads }));
  }
  return { pieces, loss: await runtime.compile(lossGraph(setup, slopes), { threads }) };
}

function normFeeds({ base }: AdapterWork, graph: Graph): Feeds {
  const stored = graph.inputs.map(inputName).filter((name) => base.has(name));
  return Object.assign({}, ...stored.map((name) => storedFeeds(base, name, name)));
}

/** Rows of a matrix as views of its stored form. */
export function pieceFeeds(
  { kind, data, scales, shape }: StoredTensor,
  sizes: readonly number[],
): readonly { readonly size: number; readonly feeds: Feeds }[] {
  const [, width = 1] = shape;
  let start = 0;
  return sizes.map((size) => {
    const lengths = (rows: number): { readonly packed: number; readonly scales: number } =>
      kind === "f32" ? { packed: rows * width, scales: 0 } : packedLengths(kind, rows * width);
    const [first, end] = [lengths(start), lengths(start + size)];
    start += size;
    const w = data.subarray(first.packed, end.packed);
    const own = scales.subarray(first.scales, end.scales);
    return { size, feeds: own.length > 0 ? { w, [scalesName("w")]: own } : { w } };
  });
}
