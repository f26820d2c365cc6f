// Text from a frozen base in its stored form with adapters over it: what a page has of a run that
// fine-tunes. No weight is unpacked but inside a graph. It deliberately merges nothing.
import { assert, defined } from "@manyhands/base/assert";
import { adaptedLinear } from "../adapters/adapted-linear.ts";
import { type AdapterConfig, adapterPlaces, targetedModules } from "../adapters/config.ts";
import { columnSquares } from "../adapters/initial-adapters.ts";
import * as ir from "../ir/ops.ts";
import { graphOf, type Tensor } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import type { Linear } from "../model/decoder.ts";
import { linear } from "../model/layers.ts";
import type { BaseModel } from "../quantize/base-model.ts";
import type { Executable, Feeds, Runtime } from "../runtime/runtime.ts";
import {
  type AdapterSetup,
  adapterTensors,
  embeddingName,
  once,
  squaresName,
  storedTensor,
  weightsOf,
} from "../train/adapter-graphs.ts";
import { storedFeeds } from "../train/adapter-work.ts";
import { headPieces } from "../train/head-graphs.ts";
import { pieceFeeds } from "../train/head-pass.ts";
import type { Form } from "./decoding-graphs.ts";
import { createGenerator, type GenerateOptions, type Generator } from "./generator.ts";

/** A model whose frozen part is packed, and the shape of its adapters. */
type Setup = Pick<AdapterSetup, "model" | "kind" | "adapter">;

export type TunedGeneratorOptions = {
  readonly runtime: Runtime;
  readonly base: BaseModel;
  readonly adapter: AdapterConfig;
  /** As createGenerator's. */
  readonly contextLength?: number;
  readonly threads?: number;
};

export type GenerateTunedOptions = Omit<GenerateOptions, "weights"> & {
  /** Flat, in the order of adapterSpecs. */
  readonly adapters: Float32Array;
};

/** Graphs with packed matrices, whose embedding is looked up outside, and that give y [1, C]. */
function tunedForm(setup: Setup): Form {
  const { model } = setup;
  const embedding = embeddingName(model);
  const { hiddenSize } = decoderOf(model);
  const stored = weightsOf(setup, "");
  // One row per token: row i is token i's, whatever its id.
  let rows: Tensor | undefined;
  return {
    decoder: (options) => decoderOf(model, { ...options, linear: byLayer(setup) }),
    find: (prefix) => (name) => {
      const whole = `${prefix}${name}`;
      return whole === embedding ? defined(rows, "tokens come before weights") : stored(whole);
    },
    tokens: (time) => {
      rows = ir.input("rows", [time, hiddenSize]);
      const places = Int32Array.from({ length: time }, (_, i) => i);
      return ir.constant(places, [1, time]);
    },
    output: (decoder, state) => ({ y: decoder.normed(stored, state) }),
  };
}

/** Each layer's products, with inputs that go by the modules' whole names. */
function byLayer(setup: Setup): Linear {
  const { model, adapter, kind } = setup;
  const layers = new Map<number, Linear>();
  return (x, module) => {
    const prefix = decoderOf(model).blockPrefix(module.layer);
    const known = layers.get(module.layer);
    const own =
      known ??
      adaptedLinear({
        adapter,
        tensors: once(adapterTensors(setup, prefix, prefix)),
        dropout: undefined,
        isTernary: () => kind === "ternary",
      });
    layers.set(module.layer, own);
    return own(x, module);
  };
}

type Piece = { readonly session: Executable; readonly feeds: Feeds; readonly size: number };

/** The head in pieces of the vocabulary: y [1, C] → logits [V]. */
class Head {
  readonly #pieces: readonly Piece[];
  readonly #vocabulary: number;

  private constructor(pieces: readonly Piece[], vocabulary: number) {
    this.#pieces = pieces;
    this.#vocabulary = vocabulary;
  }

  static async compile({ runtime, base, threads = 1 }: TunedGeneratorOptions): Promise<Head> {
    const stored = base.tensor(decoderOf(base.config).headName);
    const [vocabulary = 1, width = 1] = stored.shape;
    const sizes = headPieces(vocabulary, 1, width);
    const sessions = new Map<number, Executable>();
    for (const size of new Set(sizes)) {
      const w = storedTensor("w", [size, width], stored.kind);
      const z = linear(ir.input("y", [1, width]), w);
      sessions.set(size, await runtime.compile(graphOf({ z }), { threads }));
    }
    const pieces = pieceFeeds(stored, sizes).map(({ size, feeds }) => {
      return { size, feeds, session: defined(sessions.get(size), "each size has a graph") };
    });
    return new Head(pieces, vocabulary);
  }

  async logits(y: Float32Array): Promise<Float32Array> {
    const logits = new Float32Array(this.#vocabulary);
    let start = 0;
    for (const { session, feeds, size } of this.#pieces) {
      const { z } = await session.run({ ...feeds, y });
      logits.set(defined(z, "a piece gives its logits"), start);
      start += size;
    }
    return logits;
  }

  async dispose(): Promise<void> {
    const sessions = new Set(this.#pieces.map(({ session }) => session));
    await Promise.all([...sessions].map((session) => session.dispose()));
  }
}

export class TunedGenerator {
  readonly #setup: Setup;
  readonly #base: BaseModel;
  readonly #generator: Generator;
  readonly #head: Head;
  /** What is fed of the base, all of it views. */
  readonly #frozen: Feeds;

  /** @throws RuntimeError if the runtime rejects a graph */
  static async create(options: TunedGeneratorOptions): Promise<TunedGenerator> {
    const { base, adapter, runtime, threads = 1, contextLength } = options;
    const setup = { model: base.config, kind: base.kind, adapter };
    const generator = await createGenerator({
      ...{ runtime, threads, model: base.config, form: () => tunedForm(setup) },
      ...(contextLength === undefined ? {} : { contextLength }),
    });
    return new TunedGenerator({ setup, base, generator, head: await Head.compile(options) });
  }

  private constructor(parts: {
    readonly setup: Setup;
    readonly base: BaseModel;
    readonly generator: Generator;
    readonly head: Head;
  }) {
    this.#setup = parts.setup;
    this.#base = parts.base;
    this.#generator = parts.generator;
    this.#head = parts.head;
    this.#frozen = frozenFeeds(parts.setup, parts.base);
  }

  /** Token ids after the prompt, as Generator's. */
  generate({ adapters, ...options }: GenerateTunedOptions): AsyncGenerator<number, void, void> {
    const { model, adapter } = this.#setup;
    const { hiddenSize } = decoderOf(model);
    const feeds: Record<string, Feeds[string]> = { ...this.#frozen };
    for (const { name, offset, size } of adapterPlaces(model, adapter)) {
      assert(offset + size <= adapters.length, "the adapters are all there");
      feeds[name.replace(/^base_model\.model\./, "")] = adapters.subarray(offset, offset + size);
    }
    return this.#generator.generate({
      ...options,
      weights: {
        feeds,
        tokens: (ids) => {
          const rows = new Float32Array(ids.length * hiddenSize);
          this.#base.readRows(embeddingName(model), ids, rows);
          return { rows };
        },
        logits: ({ y }) => this.#head.logits(defined(y, "a run gives a state")),
      },
    });
  }

  async dispose(): Promise<void> {
    await Promise.all([this.#generator.dispose(), this.#head.dispose()]);
  }
}

function frozenFeeds({ model, adapter }: Setup, base: BaseModel): Feeds {
  const feeds: Record<string, Feeds[string]> = {};
  for (const { name } of base.report.tensors) Object.assign(feeds, storedFeeds(base, name, name));
  if (!adapter.useDora) return feeds;
  for (const { name, inputMajor } of targetedModules(model, adapter)) {
    feeds[squaresName(name)] = columnSquares(base, name, inputMajor);
  }
  return feeds;
}
