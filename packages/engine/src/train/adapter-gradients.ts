// Loss and adapters' gradients of one micro-batch over a frozen base: block by block, with what
// enters a block kept and its inside computed again. It deliberately updates nothing.
import { defined } from "@manyhands/base/assert";
import { adapterPlaces, isTargeted } from "../adapters/config.ts";
import { DROPOUT_PREFIX, dropoutIntegers } from "../adapters/dropout.ts";
import { columnSquares } from "../adapters/initial-adapters.ts";
import { inputName } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import type { Executable, Feeds } from "../runtime/runtime.ts";
import {
  adapterBlocks,
  type BlockPair,
  blockKind,
  embeddingName,
  embedGraph,
  layersByKind,
  squaresName,
} from "./adapter-graphs.ts";
import { type AdapterBatch, type AdapterWork, storedFeeds } from "./adapter-work.ts";
import type { FlatMemory } from "./flat-memory.ts";
import { HeadPass } from "./head-pass.ts";

export type AdapterArrays = {
  readonly weights: Float32Array;
  readonly gradients: Float32Array;
  readonly memory: FlatMemory;
};

/** Which draw of dropout: the step, and the micro-batch within it. */
export type Draw = { readonly step: number; readonly part: number };

type Views = Readonly<Record<string, Float32Array>>;
type Sessions = {
  readonly graphs: BlockPair;
  readonly forward: Executable;
  readonly back: Executable;
};

/** A block: what its graphs are fed besides states, and where its gradients go. */
type Block = {
  readonly kind: string;
  readonly frozen: Feeds;
  readonly adapters: Views;
  readonly slopes: Views;
};

export class AdapterGradients {
  readonly #work: AdapterWork;
  readonly #arrays: AdapterArrays;
  readonly #blocks: readonly Block[];
  readonly #head: HeadPass;
  readonly #embed: { readonly session: Executable; readonly frozen: Feeds };
  readonly #training: ReadonlyMap<string, Sessions>;
  /** Without dropout: made when it is first wanted, and the same if there is none. */
  #evaluating: ReadonlyMap<string, Sessions> | undefined;
  readonly #rows: Float32Array;
  /** What enters each block, and what leaves the last; and the blocks' middles. */
  readonly #states: readonly Float32Array[];
  readonly #middles: readonly Float32Array[];
  readonly #slopes: readonly [Float32Array, Float32Array];
  readonly #scratch = new Map<string, Float32Array>();
  readonly #integers: Readonly<Record<string, Int32Array>>;

  private constructor(
    work: AdapterWork,
    arrays: AdapterArrays,
    parts: {
      readonly training: ReadonlyMap<string, Sessions>;
      readonly embed: Executable;
      readonly head: HeadPass;
    },
  ) {
    const { model, batch } = work.setup;
    const decoder = decoderOf(model);
    this.#work = work;
    this.#arrays = arrays;
    this.#training = parts.training;
    this.#head = parts.head;
    this.#embed = { session: parts.embed, frozen: embedFeeds(work) };
    this.#blocks = Array.from({ length: decoder.layerCount }, (_, layer) =>
      blockOf(work, arrays, layer),
    );
    const size = batch.sequences * batch.contextLength * decoder.hiddenSize;
    const state = (): Float32Array => new Float32Array(size);
    this.#rows = state();
    this.#states = Array.from({ length: decoder.layerCount + 1 }, state);
    this.#middles = Array.from({ length: decoder.layerCount }, state);
    this.#slopes = [state(), state()];
    this.#integers = integerArrays(parts.training);
  }

  static async create(work: AdapterWork, arrays: AdapterArrays): Promise<AdapterGradients> {
    const training = await compileBlocks(work, true);
    const { runtime, threads, setup } = work;
    const embed = await runtime.compile(embedGraph(setup), { threads });
    return new AdapterGradients(work, arrays, {
      training,
      embed,
      head: await HeadPass.create(work),
    });
  }

  /** @returns Σ share · cross-entropy; its gradients replace what is there, or are added */
  async run(batch: AdapterBatch, draw: Draw, mode: "overwrite" | "add"): Promise<number> {
    await this.#forward(this.#training, batch.ids, draw);
    let [dy, dx] = this.#slopes;
    const last = defined(this.#states.at(-1), "there is a last state");
    const loss = await this.#head.slopes(last, batch, dy);
    for (let layer = this.#blocks.length - 1; layer >= 0; layer--) {
      await this.#back(layer, { dy, dx, draw, mode });
      await this.#work.turn();
      [dy, dx] = [dx, dy];
    }
    return loss;
  }

  /** @returns Σ share · cross-entropy, without dropout */
  async evaluate(batch: AdapterBatch): Promise<number> {
    const drops = (this.#work.setup.adapter.loraDropout ?? 0) > 0;
    this.#evaluating ??= drops ? await compileBlocks(this.#work, false) : this.#training;
    await this.#forward(this.#evaluating, batch.ids, { step: 0, part: 0 });
    return this.#head.loss(defined(this.#states.at(-1), "there is a last state"), batch);
  }

  async #forward(
    sessions: ReadonlyMap<string, Sessions>,
    ids: Int32Array,
    draw: Draw,
  ): Promise<void> {
    const { base, setup } = this.#work;
    base.readRows(embeddingName(setup.model), ids, this.#rows);
    const feeds = { ...this.#embed.frozen, rows: this.#rows };
    await this.#embed.session.run(feeds, { y: defined(this.#states[0], "a first state") });
    for (const [layer, { kind, frozen, adapters }] of this.#blocks.entries()) {
      const { forward } = defined(sessions.get(kind), "each kind has its graphs");
      const x = defined(this.#states[layer], "a state enters the block");
      const into = {
        middle: defined(this.#middles[layer], "a block has a middle"),
        y: defined(this.#states[layer + 1], "a state leaves the block"),
      };
      await forward.run({ ...frozen, ...adapters, ...this.#dropout(layer, draw), x }, into);
      await this.#work.turn();
    }
  }

  async #back(
    layer: number,
    run: Slopes & { readonly draw: Draw; readonly mode: "overwrite" | "add" },
  ): Promise<void> {
    const { kind, frozen, adapters, slopes } = defined(this.#blocks[layer], "there is a block");
    const { back, graphs } = defined(this.#training.get(kind), "each kind has its graphs");
    const states = {
      x: defined(this.#states[layer], "a state enters the block"),
      middle: defined(this.#middles[layer], "a block has a middle"),
      dy: run.dy,
    };
    const names = [...graphs.back.outputs.keys()].filter((name) => name !== "dx");
    const into: Record<string, Float32Array> = { dx: run.dx };
    for (const name of names) {
      const own = defined(slopes[name], `there is a place for ${name}`);
      into[name] = run.mode === "add" ? this.#scratchOf(name, own.length) : own;
    }
    const feeds = { ...frozen, ...adapters, ...this.#dropout(layer, run.draw), ...states };
    await back.run(feeds, into);
    if (run.mode === "overwrite") return;
    for (const name of names) {
      const [own, fresh] = [slopes[name], into[name]];
      if (own && fresh) this.#arrays.memory.add(own, fresh);
    }
  }

  #scratchOf(name: string, length: number): Float32Array {
    const known = this.#scratch.get(name) ?? new Float32Array(length);
    this.#scratch.set(name, known);
    return known;
  }

  /** The integers of a block's dropout, the same forward and back. */
  #dropout(layer: number, { step, part }: Draw): Feeds {
    const names = Object.entries(this.#integers);
    for (const [index, [, into]] of names.entries()) {
      const list = layer * names.length + index;
      dropoutIntegers({ seed: this.#work.seed, step, part, list }, into);
    }
    return this.#integers;
  }

  async dispose(): Promise<void> {
    const all = [this.#training, this.#evaluating ?? this.#training];
    const sessions = new Set(all.flatMap((one) => [...one.values()]));
    for (const { forward, back } of sessions)
      await Promise.all([forward.dispose(), back.dispose()]);
    await Promise.all([this.#embed.session.dispose(), this.#head.dispose()]);
  }
}

type Slopes = { readonly dy: Float32Array; readonly dx: Float32Array };

async function compileBlocks(
  { runtime, threads, setup }: AdapterWork,
  trains: boolean,
): Promise<ReadonlyMap<string, Sessions>> {
  const sessions = new Map<string, Sessions>();
  for (const [kind, layer] of layersByKind(setup)) {
    const graphs = adapterBlocks(setup, layer, trains);
    const forward = await runtime.compile(graphs.forward, { threads });
    const back = await runtime.compile(graphs.back, { threads });
    sessions.set(kind, { graphs, forward, back });
  }
  return sessions;
}

function embedFeeds({ base, setup }: AdapterWork): Feeds {
  const names = embedGraph(setup).inputs.map(inputName);
  const stored = names.filter((name) => base.has(name));
  return Object.assign({}, ...stored.map((name) => storedFeeds(base, name, name)));
}

function blockOf(work: AdapterWork, arrays: AdapterArrays, layer: number): Block {
  const { base, setup } = work;
  const { model, adapter } = setup;
  const prefix = decoderOf(model).blockPrefix(layer);
  const frozen: Record<string, Feeds[string]> = {};
  for (const { name } of base.report.tensors) {
    if (!name.startsWith(prefix)) continue;
    const short = name.slice(prefix.length);
    Object.assign(frozen, storedFeeds(base, name, short));
    const module = short.replace(/\.weight$/, "");
    if (
      adapter.useDora &&
      base.tensor(name).shape.length === 2 &&
      isTargeted(adapter, `${prefix}${module}`)
    ) {
      const inputMajor = prefix.startsWith("transformer.");
      const full = name.replace(/\.weight$/, "");
      frozen[squaresName(module)] = columnSquares(base, full, inputMajor);
    }
  }
  const lead = `base_model.model.${prefix}`;
  const places = adapterPlaces(model, adapter).filter(({ name }) => name.startsWith(lead));
  const views = (flat: Float32Array, as: string): Views =>
    Object.fromEntries(
      places.map(({ name, offset, size }) => {
        return [`${as}${name.slice(lead.length)}`, flat.subarray(offset, offset + size)];
      }),
    );
  return {
    kind: blockKind(setup, layer),
    frozen,
    adapters: views(arrays.weights, ""),
    slopes: views(arrays.gradients, "d "),
  };
}

/** One array per integer input of dropout in the blocks' graphs. */
function integerArrays(
  sessions: ReadonlyMap<string, Sessions>,
): Readonly<Record<string, Int32Array>> {
  const arrays: Record<string, Int32Array> = {};
  for (const { graphs } of sessions.values()) {
    for (const node of [...graphs.forward.inputs, ...graphs.back.inputs]) {
      const name = inputName(node);
      if (!name.startsWith(DROPOUT_PREFIX)) continue;
      arrays[name] ??= new Int32Array(node.shape.reduce((size, dim) => size * dim, 1));
    }
  }
  return arrays;
}
