// Text generation: tokens one after the other, with cached keys and values.
// It deliberately knows token ids only; text belongs to the tokenizer.
import { assert } from "@manyhands/base/assert";
import { Random } from "@manyhands/base/random";
import { headSize, type LlamaConfig } from "../model/config.ts";
import { weightFeeds } from "../model/decoder.ts";
import { MASKED, ropeTables } from "../model/layers.ts";
import type { Executable, Runtime } from "../runtime/runtime.ts";
import { prefillGraph, stepGraph } from "./decoding-graphs.ts";
import { type SamplingOptions, sampleToken } from "./sampler.ts";

export type GeneratorOptions = {
  readonly runtime: Runtime;
  readonly model: LlamaConfig;
  /** Threads inside one operation. Default 1. */
  readonly threads?: number;
};

export type GenerateOptions = SamplingOptions & {
  /** Flat, in the order of parameterSpecs. Read for every token: they must not change meanwhile. */
  readonly weights: Float32Array;
  /** One token or more; of a long prompt the model sees the last maxPositionEmbeddings. */
  readonly prompt: Int32Array | readonly number[];
  readonly tokenCountMax: number;
  readonly seed: number;
  /** Generation ends after any of these. */
  readonly stopIds?: readonly number[];
};

type Arrays = Record<string, Float32Array>;

/** A prompt is padded to a power of two of this or more, so that a short one costs little. */
const PREFILL_TOKENS_MIN = 16;

/** The compiled graphs of one model: a step, and a prefill per length that was asked for. */
export class DecodingGraphs {
  readonly #options: GeneratorOptions;
  readonly #prefills = new Map<number, Promise<Executable>>();
  readonly step: Executable;

  private constructor(options: GeneratorOptions, step: Executable) {
    this.#options = options;
    this.step = step;
  }

  /** @throws RuntimeError if the runtime rejects the graph */
  static async compile(options: GeneratorOptions): Promise<DecodingGraphs> {
    const { runtime, model, threads = 1 } = options;
    return new DecodingGraphs(options, await runtime.compile(stepGraph(model), { threads }));
  }

  /** For prompts of so many tokens or fewer. @returns what runs, and the tokens it reads */
  async prefill(count: number): Promise<{ readonly graph: Executable; readonly time: number }> {
    const { runtime, model, threads = 1 } = this.#options;
    let time = PREFILL_TOKENS_MIN;
    while (time < count) time *= 2;
    time = Math.min(time, model.maxPositionEmbeddings);
    const known = this.#prefills.get(time);
    const graph = known ?? runtime.compile(prefillGraph(model, time), { threads });
    this.#prefills.set(time, graph);
    return { graph: await graph, time };
  }

  async dispose(): Promise<void> {
    const prefills = await Promise.all(this.#prefills.values());
    await Promise.all([this.step, ...prefills].map((graph) => graph.dispose()));
  }
}

class Generator {
  readonly #model: LlamaConfig;
  readonly #graphs: DecodingGraphs;

  constructor(model: LlamaConfig, graphs: DecodingGraphs) {
    this.#model = model;
    this.#graphs = graphs;
  }

  /** Token ids after the prompt. Equal options give equal tokens on one machine. */
  async *generate(options: GenerateOptions): AsyncGenerator<number, void, void> {
    const random = new Random(options.seed);
    const decoding = new Decoding(this.#model, this.#graphs, options.weights);
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
  readonly #model: LlamaConfig;
  readonly #graphs: DecodingGraphs;
  readonly #weights: Readonly<Record<string, Float32Array>>;
  readonly #caches: Arrays = {};
  readonly #mask: Float32Array;
  readonly #ids: number[] = [];

  constructor(model: LlamaConfig, graphs: DecodingGraphs, weights: Float32Array) {
    this.#model = model;
    this.#graphs = graphs;
    this.#weights = weightFeeds(model, weights);
    const size = model.maxPositionEmbeddings;
    this.#mask = new Float32Array(size);
    for (let layer = 0; layer < model.numHiddenLayers; layer++) {
      const length = model.numKeyValueHeads * size * headSize(model);
      this.#caches[`cached key ${layer}`] = new Float32Array(length);
      this.#caches[`cached value ${layer}`] = new Float32Array(length);
    }
  }

  /** Starts over with these tokens, or the last S of them. @returns the logits of the next token */
  async read(ids: readonly number[]): Promise<Float32Array> {
    const size = this.#model.maxPositionEmbeddings;
    const window = ids.slice(-size);
    assert(window.length > 0, "generation starts with one token or more");
    this.#ids.splice(0, this.#ids.length, ...window);
    const { graph, time } = await this.#graphs.prefill(window.length);
    const padded = new Int32Array(time);
    padded.set(window);
    const outputs = await graph.run({ ...this.#weights, ids: padded });
    for (const [name, cache] of Object.entries(this.#caches)) {
      this.#keep(cache, outputs[name.replace("cached ", "")] ?? new Float32Array(), 0);
    }
    const { vocabSize } = this.#model;
    const last = (window.length - 1) * vocabSize;
    return outputs["logits"]?.slice(last, last + vocabSize) ?? new Float32Array();
  }

  /**
   * Adds one token. A full window is first shortened to its newer half and read again, so that a
   * long text costs one prefill per half window.
   *
   * @returns the logits of the token after it
   */
  async next(id: number): Promise<Float32Array> {
    const size = this.#model.maxPositionEmbeddings;
    const place = this.#ids.length;
    if (place === size) return this.read([...this.#ids.slice(Math.floor(size / 2) + 1), id]);
    const width = headSize(this.#model);
    const span = { first: place, time: 1 };
    const { cos, sin } = ropeTables(width, this.#model.ropeTheta, span);
    this.#mask.fill(0).fill(MASKED, place, size);
    const ids = Int32Array.of(id);
    const feeds = { ...this.#weights, ...this.#caches, cos, sin, mask: this.#mask, ids };
    const outputs = await this.#graphs.step.run(feeds);
    for (const [name, cache] of Object.entries(this.#caches)) {
      this.#keep(cache, outputs[name.replace("cached ", "")] ?? new Float32Array(), place);
    }
    this.#ids.push(id);
    return outputs["logits"] ?? new Float32Array();
  }

  /** fresh [KV, T, D] into cache [KV, S, D], from a place on. */
  #keep(cache: Float32Array, fresh: Float32Array, place: number): void {
    const { numKeyValueHeads: heads, maxPositionEmbeddings: size } = this.#model;
    const width = headSize(this.#model);
    const length = fresh.length / heads;
    for (let head = 0; head < heads; head++) {
      const own = fresh.subarray(head * length, (head + 1) * length);
      cache.set(own, (head * size + place) * width);
    }
  }
}

/** @throws RuntimeError if the runtime rejects a graph */
export async function createGenerator(options: GeneratorOptions): Promise<Generator> {
  return new Generator(options.model, await DecodingGraphs.compile(options));
}
