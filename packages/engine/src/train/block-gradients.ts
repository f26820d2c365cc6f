// Loss and gradients of one micro-batch, block by block: only the blocks' inputs are kept, and the
// way back computes each block's inside again. One compiled block serves all of its kind.
// @source Chen et al. 2016, "Training deep nets with sublinear memory cost"
import { defined } from "@manyhands/base/assert";
import { gradients } from "../autodiff/gradients.ts";
import * as ir from "../ir/ops.ts";
import { type Graph, graphOf, inputName, sizeOf, type Tensor } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import type { ModelConfig } from "../model/config.ts";
import {
  type Decoder,
  lookup,
  type WeightInput,
  weightInputs,
  weightTensors,
} from "../model/decoder.ts";
import type { Executable, Runtime } from "../runtime/runtime.ts";
import type { FlatMemory } from "./flat-memory.ts";
import {
  type FlatArrays,
  type GradientSource,
  type MicroBatch,
  type MicroTokens,
  sharedLoss,
} from "./gradient-source.ts";

/**
 * | graph    | inputs                            | outputs                  |
 * | -------- | --------------------------------- | ------------------------ |
 * | embed    | ids, its weights                  | y [N, C]                 |
 * | block k  | x [N, C], a block's weights       | middle, y [N, C]         |
 * | head     | x, targets, its weights           | loss, dx, d its weights  |
 * | unblock k| x, middle, dy, a block's weights  | dx, d a block's weights  |
 * | unembed  | ids, dy                           | d its weights            |
 *
 * k is the block's kind: most models have one, Gemma has two.
 * The middle, after attention, is kept too: it costs as much as x, saves a product, and lets go of
 * one half of a block before the other is computed again. Rows of different sequences do not meet
 * on the way forward, so block takes a few sequences at a time (N is theirs), in less memory.
 * A tied embedding's gradient has two parts: unembed takes the head's, as "head's d <name>", and
 * gives the sum.
 */
export type BlockGraphs = {
  readonly embed: Graph;
  readonly head: Graph;
  readonly unembed: Graph;
  readonly [block: `${"block" | "unblock"} ${number}`]: Graph;
};

/** A block's weights go by what follows the block's prefix, so that one graph serves all blocks. */
export function blockGraphs(micro: MicroBatch): BlockGraphs {
  const decoder = decoderOf(micro.model);
  const { sequences: batch, contextLength: time } = micro;
  const ids = ir.input("ids", [batch, time], "i32");
  const targets = ir.input("targets", [batch, time], "i32");
  const x = ir.input("x", [batch * time, decoder.hiddenSize]);
  const weights = weightTensors(micro.model);
  const embedded = decoder.embed(lookup(weights), ids);
  const dy = ir.input("dy", x.shape);
  const loss = sharedLoss(decoder.head(lookup(weights), x), targets, micro);
  const slopes = slopesOf(loss, x);
  return {
    embed: graphOf({ y: embedded }),
    head: graphOf({ loss, ...slopes }),
    unembed: graphOf(withHeads(slopesOf(against(embedded, dy)), slopes)),
    ...Object.fromEntries(firstOfKinds(decoder).flatMap((layer) => kindGraphs(micro, layer))),
  };
}

/** A layer of each kind. */
function firstOfKinds(decoder: Decoder): readonly number[] {
  const kinds = Array.from({ length: decoder.layerCount }, (_, layer) => decoder.layerKind(layer));
  return kinds.flatMap((kind, layer) => (kinds.indexOf(kind) === layer ? [layer] : []));
}

/** block and unblock of the kind that a layer is of, by their names. */
function kindGraphs(micro: MicroBatch, layer: number): readonly (readonly [string, Graph])[] {
  const decoder = decoderOf(micro.model);
  const { sequences: batch, contextLength: time } = micro;
  const own = lookup(ownWeights(micro.model, decoder));
  const x = ir.input("x", [batch * time, decoder.hiddenSize]);
  const dy = ir.input("dy", x.shape);
  const middle = ir.input("middle", x.shape);
  const attended = decoder.attend(own, x, { layer, batch, time });
  const few = forwardSequences(micro);
  const fewX = ir.input("x", [few * time, decoder.hiddenSize]);
  const fewAttended = decoder.attend(own, fewX, { layer, batch: few, time });
  const upper = slopesOf(against(decoder.feedForward(own, middle, layer), dy), middle);
  const lower = slopesOf(against(attended, defined(upper["dx"], "the middle has a slope")), x);
  const kind = decoder.layerKind(layer);
  const y = decoder.feedForward(own, fewAttended, layer);
  return [
    [`block ${kind}`, graphOf({ middle: fewAttended, y })],
    [`unblock ${kind}`, graphOf({ ...lower, ...omit(upper, "dx") })],
  ];
}

/** Parts of a micro-batch on the way forward, and how many rows are worth a part of their own. */
const FORWARD_PARTS = [8, 4, 2, 1];
const FORWARD_ROWS_MIN = 128;

/** The sequences that block takes at a time. */
function forwardSequences({ sequences, contextLength }: MicroBatch): number {
  const fits = (parts: number): boolean => {
    return sequences % parts === 0 && (sequences / parts) * contextLength >= FORWARD_ROWS_MIN;
  };
  return sequences / (FORWARD_PARTS.find(fits) ?? 1);
}

/** What both graphs have a gradient for is added up, in the order of the whole model's graph. */
function withHeads(
  slopes: Record<string, Tensor>,
  heads: Record<string, Tensor>,
): Record<string, Tensor> {
  const entries = Object.entries(slopes).map(([name, slope]) => {
    const sum = (): Tensor => ir.add(ir.input(`head's ${name}`, slope.shape), slope);
    return [name, name in heads ? sum() : slope] as const;
  });
  return Object.fromEntries(entries);
}

function ownWeights(model: ModelConfig, decoder: Decoder): ReadonlyMap<string, Tensor> {
  const prefix = decoder.blockPrefix(0);
  const own = weightInputs(model).flatMap(({ name, shape }) => {
    const short = name.slice(prefix.length);
    return name.startsWith(prefix) ? [[short, ir.input(short, shape)] as const] : [];
  });
  return new Map(own);
}

/** A scalar whose gradient at y is dy. */
function against(y: Tensor, dy: Tensor): Tensor {
  return ir.withGradient(ir.scalar(0), [y], () => [dy]);
}

function omit(slopes: Record<string, Tensor>, name: string): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(slopes).filter(([key]) => key !== name));
}

/** "d <name>" of every weight that a scalar depends on, and "dx" if x is given. */
function slopesOf(scalar: Tensor, x?: Tensor): Record<string, Tensor> {
  const reached = graphOf({ scalar }).inputs.filter((node) => {
    return node !== x && /\.(weight|bias)$/.test(inputName(node));
  });
  const slopes = gradients(scalar, x ? [x, ...reached] : reached);
  const names = reached.map((node) => `d ${inputName(node)}`);
  const all = x ? ["dx", ...names] : names;
  return Object.fromEntries(all.map((name, i) => [name, slopes[i] ?? scalar]));
}

type Views = Readonly<Record<string, Float32Array>>;
type Mode = "overwrite" | "add";
type Sessions = { readonly [K in keyof BlockGraphs]: Executable };

/** A part of the model: its weights, and where their gradients go, under the graphs' names. */
class Part {
  readonly weights: Views;
  readonly #memory: FlatMemory;
  readonly #gradients: Views;
  /** What is to be added; blocks share it. */
  readonly #scratch: Map<string, Float32Array>;

  constructor(
    inputs: readonly WeightInput[],
    prefix: string,
    work: { readonly arrays: FlatArrays; readonly scratch: Map<string, Float32Array> },
  ) {
    const views = (flat: Float32Array, lead: string): Views =>
      Object.fromEntries(
        inputs.map(({ name, offset, size }) => {
          return [`${lead}${name.slice(prefix.length)}`, flat.subarray(offset, offset + size)];
        }),
      );
    this.weights = views(work.arrays.weights, "");
    this.#gradients = views(work.arrays.gradients, "d ");
    this.#memory = work.arrays.memory;
    this.#scratch = work.scratch;
  }

  /** Arrays for the gradients: their own places, or scratch if they are to be added. */
  targets(mode: Mode): Views {
    const entries = Object.entries(this.#gradients).map(([name, own]) => {
      return [name, mode === "add" ? this.#scratchOf(name, own.length) : own] as const;
    });
    return Object.fromEntries(entries);
  }

  #scratchOf(name: string, length: number): Float32Array {
    const known = this.#scratch.get(name) ?? new Float32Array(length);
    this.#scratch.set(name, known);
    return known;
  }

  /** Adds what a run of a graph left in scratch, but for some outputs. */
  settle(graph: Graph, targets: Views, except: Views = {}): void {
    for (const name of graph.outputs.keys()) {
      const [own, written] = [this.#gradients[name], targets[name]];
      if (name in except || own === written) continue;
      if (own && written) this.#memory.add(own, written);
    }
  }
}

export class BlockGradients implements GradientSource {
  readonly #graphs: BlockGraphs;
  readonly #sessions: Sessions;
  /** Embedding, last norm and head. */
  readonly #edges: Part;
  readonly #blocks: readonly Part[];
  /** The head's share of gradients that unembed completes. */
  readonly #tied: Views;
  /** What enters each block, and what leaves the last. */
  readonly #states: readonly Float32Array[];
  /** The kind of each block. */
  readonly #kinds: readonly number[];
  /** The middle of each block. */
  readonly #middles: readonly Float32Array[];
  /** A gradient of a state. The other, in turn, takes the place of the last state. */
  readonly #slope: Float32Array;
  readonly #loss = new Float32Array(1);
  /** Numbers of a state that block takes at a time. */
  readonly #forwardSize: number;

  private constructor(
    micro: MicroBatch,
    arrays: FlatArrays,
    compiled: { readonly graphs: BlockGraphs; readonly sessions: Sessions },
  ) {
    const decoder = decoderOf(micro.model);
    const inputs = weightInputs(micro.model);
    const layers = Array.from({ length: decoder.layerCount }, (_, layer) => layer);
    const prefixes = layers.map((layer) => decoder.blockPrefix(layer));
    this.#graphs = compiled.graphs;
    this.#sessions = compiled.sessions;
    const work = { arrays, scratch: new Map<string, Float32Array>() };
    const outside = inputs.filter(({ name }) => !prefixes.some((p) => name.startsWith(p)));
    this.#edges = new Part(outside, "", work);
    this.#blocks = prefixes.map((prefix) => {
      return new Part(
        inputs.filter(({ name }) => name.startsWith(prefix)),
        prefix,
        work,
      );
    });
    this.#tied = Object.fromEntries(
      [...compiled.graphs.unembed.outputs]
        .filter(([name]) => compiled.graphs.head.outputs.has(name))
        .map(([name, { shape }]) => [name, new Float32Array(sizeOf(shape))]),
    );
    this.#kinds = layers.map((layer) => decoder.layerKind(layer));
    this.#forwardSize = forwardSequences(micro) * micro.contextLength * decoder.hiddenSize;
    const rows = micro.sequences * micro.contextLength;
    const state = (): Float32Array => new Float32Array(rows * decoder.hiddenSize);
    this.#states = [...layers, layers.length].map(state);
    this.#middles = layers.map(state);
    this.#slope = state();
  }

  static async create(
    work: { readonly runtime: Runtime; readonly threads: number },
    micro: MicroBatch,
    arrays: FlatArrays,
  ): Promise<BlockGradients> {
    const { runtime, threads } = work;
    const graphs = blockGraphs(micro);
    const compile = (graph: Graph): Promise<Executable> => runtime.compile(graph, { threads });
    const sessions = {
      embed: await compile(graphs.embed),
      head: await compile(graphs.head),
      unembed: await compile(graphs.unembed),
    };
    const blocks: Record<`${"block" | "unblock"} ${number}`, Executable> = {};
    for (const layer of firstOfKinds(decoderOf(micro.model))) {
      const kind = decoderOf(micro.model).layerKind(layer);
      for (const name of [`block ${kind}`, `unblock ${kind}`] as const) {
        blocks[name] = await compile(defined(graphs[name], `there is a graph ${name}`));
      }
    }
    return new BlockGradients(micro, arrays, { graphs, sessions: { ...sessions, ...blocks } });
  }

  async run({ ids, ...counted }: MicroTokens, mode: Mode): Promise<number> {
    await this.#forward(ids);
    let [dy, dx] = [this.#slope, this.#state(this.#blocks.length)];
    await this.#unhead(counted, dy, mode);
    for (let layer = this.#blocks.length - 1; layer >= 0; layer--) {
      await this.#unblock(layer, { dy, dx }, mode);
      [dy, dx] = [dx, dy];
    }
    await this.#unembed(ids, dy, mode);
    return defined(this.#loss[0], "a run gives its loss");
  }

  #state(index: number): Float32Array {
    return defined(this.#states[index], `there is a state ${index}`);
  }

  #middle(layer: number): Float32Array {
    return defined(this.#middles[layer], `there is a middle of block ${layer}`);
  }

  #kind(layer: number): number {
    return defined(this.#kinds[layer], `block ${layer} is of a kind`);
  }

  #session(name: "block" | "unblock", layer: number): Executable {
    return defined(this.#sessions[`${name} ${this.#kind(layer)}`], "each kind has its graphs");
  }

  async #forward(ids: Int32Array): Promise<void> {
    await this.#sessions.embed.run({ ...this.#edges.weights, ids }, { y: this.#state(0) });
    for (const [layer, { weights }] of this.#blocks.entries()) {
      const [x, middle] = [this.#state(layer), this.#middle(layer)];
      const y = this.#state(layer + 1);
      const session = this.#session("block", layer);
      for (let start = 0; start < x.length; start += this.#forwardSize) {
        const part = (whole: Float32Array): Float32Array =>
          whole.subarray(start, start + this.#forwardSize);
        const into = { middle: part(middle), y: part(y) };
        await session.run({ ...weights, x: part(x) }, into);
      }
    }
  }

  async #unhead(counted: Omit<MicroTokens, "ids">, dx: Float32Array, mode: Mode): Promise<void> {
    const into = { ...this.#edges.targets(mode), ...this.#tied };
    const x = this.#state(this.#blocks.length);
    const feeds = { ...this.#edges.weights, ...counted, x };
    await this.#sessions.head.run(feeds, { ...into, dx, loss: this.#loss });
    this.#edges.settle(this.#graphs.head, into, this.#tied);
  }

  async #unblock(
    layer: number,
    { dy, dx }: { readonly dy: Float32Array; readonly dx: Float32Array },
    mode: Mode,
  ): Promise<void> {
    const part = defined(this.#blocks[layer], `there is a block ${layer}`);
    const kind = this.#kind(layer);
    const into = part.targets(mode);
    const kept = { x: this.#state(layer), middle: this.#middle(layer) };
    const feeds = { ...part.weights, ...kept, dy };
    await this.#session("unblock", layer).run(feeds, { ...into, dx });
    part.settle(defined(this.#graphs[`unblock ${kind}`], "each kind has its graphs"), into);
  }

  async #unembed(ids: Int32Array, dy: Float32Array, mode: Mode): Promise<void> {
    const heads = Object.entries(this.#tied).map(([name, slope]) => [`head's ${name}`, slope]);
    const into = this.#edges.targets(mode);
    await this.#sessions.unembed.run({ ...Object.fromEntries(heads), ids, dy }, into);
    this.#edges.settle(this.#graphs.unembed, into);
  }

  async dispose(): Promise<void> {
    await Promise.all(Object.values(this.#sessions).map((session) => session.dispose()));
  }
}
