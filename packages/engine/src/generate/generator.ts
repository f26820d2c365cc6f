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
  /** Flat, in the order of parameterSpecs. Read once, at the start. */
  readonly weights: Float32Array;
  /** One token or more; of a long prompt the model sees the last maxPositionEmbeddings. */
  readonly prompt: Int32Array | readonly number[];
  readonly tokenCountMax: number;
  readonly seed: number;
  /** Generation ends after any of these. */
  readonly stopIds?: readonly number[];
};

type Executables = { readonly prefill: Executable; readonly step: Executable };
type Arrays = Record<string, Float32Array>;

class Generator {
  readonly #model: LlamaConfig;
  readonly #executables: Executables;

  constructor(model: LlamaConfig, executables: Executables) {
    this.#model = model;
    this.#executables = executables;
  }

  /** Token ids after the prompt. Equal options give equal tokens on one machine. */
  async *generate(options: GenerateOptions): AsyncGenerator<number, void, void> {
    const random = new Random(options.seed);
    const decoding = new Decoding(this.#model, this.#executables, options.weights);
    let logits = await decoding.read(Array.from(options.prompt));
    for (let count = 1; count <= options.tokenCountMax; count++) {
      const id = sampleToken(logits, options, random);
      yield id;
      if (count === options.tokenCountMax || options.stopIds?.includes(id)) return;
      logits = await decoding.next(id);
    }
  }

  async dispose(): Promise<void> {
    const { prefill, step } = this.#executables;
    await Promise.all([prefill.dispose(), step.dispose()]);
  }
}

/** One text in progress: its window and the keys and values of every place in it. */
export class Decoding {
  readonly #model: LlamaConfig;
  readonly #executables: Executables;
  readonly #weights: Readonly<Record<string, Float32Array>>;
  readonly #caches: Arrays = {};
  readonly #mask: Float32Array;
  readonly #ids: number[] = [];

  constructor(model: LlamaConfig, executables: Executables, weights: Float32Array) {
    this.#model = model;
    this.#executables = executables;
    this.#weights = weightFeeds(model, weights.slice());
    const size = model.maxPositionEmbeddings;
    this.#mask = new Float32Array(size + 1);
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
    const padded = new Int32Array(size);
    padded.set(window);
    const outputs = await this.#executables.prefill.run({ ...this.#weights, ids: padded });
    for (const [name, cache] of Object.entries(this.#caches)) {
      cache.set(outputs[name.replace("cached ", "")] ?? []);
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
    const outputs = await this.#executables.step.run(feeds);
    for (const [name, cache] of Object.entries(this.#caches)) {
      const fresh = outputs[name.replace("cached ", "")] ?? new Float32Array();
      for (let head = 0; head < this.#model.numKeyValueHeads; head++) {
        cache.set(fresh.subarray(head * width, (head + 1) * width), (head * size + place) * width);
      }
    }
    this.#ids.push(id);
    return outputs["logits"] ?? new Float32Array();
  }
}

/** @throws RuntimeError if the runtime rejects a graph */
export async function createGenerator(options: GeneratorOptions): Promise<Generator> {
  return new Generator(options.model, await compileDecoding(options));
}

export async function compileDecoding(options: GeneratorOptions): Promise<Executables> {
  const { runtime, model, threads = 1 } = options;
  const prefill = await runtime.compile(prefillGraph(model), { threads });
  const step = await runtime.compile(stepGraph(model), { threads });
  return { prefill, step };
}
