// Text generation: tokens one after the other, with cached keys and values.
// It deliberately knows token ids only; text belongs to the tokenizer.
import { assert, defined } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import { Random } from "@manyhands/base/random";
import {
  contextLimit,
  headSize,
  isGpt2,
  keyValueHeads,
  layerCount,
  type ModelConfig,
} from "../model/config.ts";
import { weightFeeds } from "../model/decoder.ts";
import { MASKED, ropeTables } from "../model/layers.ts";
import { ropeBase } from "../model/llama.ts";
import type { Executable, Feeds, Runtime } from "../runtime/runtime.ts";
import {
  type Form,
  plainForm,
  prefillGraph,
  stepGraph,
  type View,
  viewOf,
  type Window,
} from "./decoding-graphs.ts";
import { type SamplingOptions, sampleToken } from "./sampler.ts";

export type GeneratorOptions = {
  readonly runtime: Runtime;
  readonly model: ModelConfig;
  /**
   * Tokens that the caches hold, and that the model sees. Default: as many as the model was made
   * for, but at most 2048; caches of all that a large model could see would fill the memory.
   */
  readonly contextLength?: number;
  /** Threads inside one operation. Default 1. */
  readonly threads?: number;
  /** How graphs have their weights, made anew for each. Default: plainForm. */
  readonly form?: () => Form;
};

/** What a text is written with, where weights are not flat: what graphs of its form are fed. */
export type Material = {
  readonly feeds: Feeds;
  /** What stands for these tokens. */
  readonly tokens: (ids: Int32Array) => Feeds;
  /** [V], from what a run gave. */
  readonly logits: (outputs: Readonly<Record<string, Float32Array>>) => Promise<Float32Array>;
};

export type GenerateOptions = SamplingOptions & {
  /** Flat, in the order of parameterSpecs. Read for every token: they must not change meanwhile. */
  readonly weights: Float32Array | Material;
  /** One token or more; of a long prompt the model sees the last contextLength. */
  readonly prompt: Int32Array | readonly number[];
  readonly tokenCountMax: number;
  readonly seed: number;
  /** Generation ends after any of these. */
  readonly stopIds?: readonly number[];
};

type Arrays = Record<string, Float32Array>;
type Inputs = Record<string, Float32Array | Int32Array>;

const CONTEXT_LENGTH_MAX = 2_048;

/** A prompt is padded to a power of two of this or more, so that a short one costs little. */
const PREFILL_TOKENS_MIN = 16;

/** The compiled graphs of one model: a step, and a prefill per length that was asked for. */
export class DecodingGraphs {
  readonly #options: GeneratorOptions;
  readonly #prefills = new Map<number, Promise<Executable>>();
  readonly window: Window;
  readonly step: Executable;

  private constructor(options: GeneratorOptions, window: Window, step: Executable) {
    this.#options = options;
    this.window = window;
    this.step = step;
  }

  /** @throws RuntimeError if the runtime rejects the graph */
  static async compile(options: GeneratorOptions): Promise<DecodingGraphs> {
    const { runtime, model, threads = 1 } = options;
    const limit = contextLimit(model);
    const size = Math.min(limit, options.contextLength ?? CONTEXT_LENGTH_MAX);
    if (!(Number.isSafeInteger(size) && size >= 1)) {
      throw new InputError(`contextLength must be an integer ≥ 1, found ${options.contextLength}`);
    }
    const window = { model, size };
    const { form = () => plainForm(model) } = options;
    const step = await runtime.compile(stepGraph(form(), window), { threads });
    return new DecodingGraphs(options, window, step);
  }

  /** For prompts of so many tokens or fewer. @returns what runs, and the tokens it reads */
  async prefill(count: number): Promise<{ readonly graph: Executable; readonly time: number }> {
    const { runtime, model, threads = 1, form = () => plainForm(model) } = this.#options;
    let time = PREFILL_TOKENS_MIN;
    while (time < count) time *= 2;
    time = Math.min(time, this.window.size);
    const known = this.#prefills.get(time);
    const graph = known ?? runtime.compile(prefillGraph(form(), time), { threads });
    this.#prefills.set(time, graph);
    return { graph: await graph, time };
  }

  async dispose(): Promise<void> {
    const prefills = await Promise.all(this.#prefills.values());
    await Promise.all([this.step, ...prefills].map((graph) => graph.dispose()));
  }
}

function flatMaterial(model: ModelConfig, weights: Float32Array): Material {
  return {
    feeds: weightFeeds(model, weights),
    tokens: (ids) => ({ ids }),
    logits: async ({ logits }) => defined(logits, "a run gives logits"),
  };
}

export class Generator {
  readonly #graphs: DecodingGraphs;

  constructor(graphs: DecodingGraphs) {
    this.#graphs = graphs;
  }

  /** Token ids after the prompt. Equal options give equal tokens on one machine. */
  async *generate(options: GenerateOptions): AsyncGenerator<number, void, void> {
    const random = new Random(options.seed);
    const decoding = new Decoding(this.#graphs, options.weights);
    let logits = await decoding.read(Array.from(options.prompt));
    for (let count = 1; count <= options.tokenCountMax; count++) {
      const id = sampleToken(logits, options, random);
      yield id;
      if (count === options.tokenCountMax || options.stopIds?.includes(id)) return;
      logits = await decoding.next(id);
    }
  }

  async dispose(): Promise<void> {
    await this.#graphs.dispose();
  }
}

/** One text in progress: its window and the keys and values of every place in it. */
export class Decoding {
  readonly #model: ModelConfig;
  /** S. */
  readonly #size: number;
  readonly #graphs: DecodingGraphs;
  readonly #material: Material;
  readonly #caches: Arrays = {};
  /** A layer of each view. */
  readonly #views: ReadonlyMap<View, number>;
  readonly #ids: number[] = [];

  constructor(graphs: DecodingGraphs, weights: Float32Array | Material) {
    const { model, size } = graphs.window;
    this.#model = model;
    this.#size = size;
    this.#graphs = graphs;
    this.#material = weights instanceof Float32Array ? flatMaterial(model, weights) : weights;
    const views = new Map<View, number>();
    for (let layer = 0; layer < layerCount(model); layer++) {
      const length = keyValueHeads(model) * size * headSize(model);
      this.#caches[`cached key ${layer}`] = new Float32Array(length);
      this.#caches[`cached value ${layer}`] = new Float32Array(length);
      views.set(viewOf(model, layer), layer);
    }
    this.#views = views;
  }

  /** Starts over with these tokens, or the last S of them. @returns the logits of the next token */
  async read(ids: readonly number[]): Promise<Float32Array> {
    const window = ids.slice(-this.#size);
    assert(window.length > 0, "generation starts with one token or more");
    this.#ids.splice(0, this.#ids.length, ...window);
    const { graph, time } = await this.#graphs.prefill(window.length);
    const padded = new Int32Array(time);
    padded.set(window);
    const last = Int32Array.of(window.length - 1);
    const { feeds, tokens, logits } = this.#material;
    const outputs = await graph.run({ ...feeds, ...tokens(padded), last });
    for (const [name, cache] of Object.entries(this.#caches)) {
      this.#keep(cache, outputs[name.replace("cached ", "")] ?? new Float32Array(), 0);
    }
    return logits(outputs);
  }

  /**
   * Adds one token. A full window is first shortened to its newer half and read again, so that a
   * long text costs one prefill per half window.
   *
   * @returns the logits of the token after it
   */
  async next(id: number): Promise<Float32Array> {
    const place = this.#ids.length;
    if (place === this.#size) {
      return this.read([...this.#ids.slice(Math.floor(this.#size / 2) + 1), id]);
    }
    const { feeds, tokens, logits } = this.#material;
    const own = { ...this.#caches, ...this.#sight(place), ...tokens(Int32Array.of(id)) };
    const outputs = await this.#graphs.step.run({ ...feeds, ...own });
    for (const [name, cache] of Object.entries(this.#caches)) {
      this.#keep(cache, outputs[name.replace("cached ", "")] ?? new Float32Array(), place);
    }
    this.#ids.push(id);
    return logits(outputs);
  }

  /** What the token at a place sees, and where it is: the inputs of the step that tell. */
  #sight(place: number): Inputs {
    const model = this.#model;
    const feeds: Inputs = isGpt2(model) ? { place: Int32Array.of(place) } : {};
    for (const [view, layer] of this.#views) {
      const mask = new Float32Array(this.#size).fill(MASKED, place);
      feeds[`${view} mask`] = mask;
      if (isGpt2(model)) continue;
      const span = { first: place, time: 1 };
      const { cos, sin } = ropeTables(headSize(model), ropeBase(model, layer), span);
      feeds[`${view} cos`] = cos;
      feeds[`${view} sin`] = sin;
      const { slidingWindow = this.#size } = model;
      if (view === "local") mask.fill(MASKED, 0, Math.max(0, place - slidingWindow + 1));
    }
    return feeds;
  }

  /** fresh [KV, T, D] into cache [KV, S, D], from a place on. */
  #keep(cache: Float32Array, fresh: Float32Array, place: number): void {
    const heads = keyValueHeads(this.#model);
    const width = headSize(this.#model);
    const length = fresh.length / heads;
    for (let head = 0; head < heads; head++) {
      const own = fresh.subarray(head * length, (head + 1) * length);
      cache.set(own, (head * this.#size + place) * width);
    }
  }
}

/** @throws RuntimeError if the runtime rejects a graph */
export async function createGenerator(options: GeneratorOptions): Promise<Generator> {
  return new Generator(await DecodingGraphs.compile(options));
}
