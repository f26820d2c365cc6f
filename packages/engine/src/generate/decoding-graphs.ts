// The two graphs of generation: prefill reads a prompt, a step reads one token beside cached keys.
// They deliberately have static shapes: a prompt is padded at its end, an empty place of the cache
// is masked.
import * as ir from "../ir/ops.ts";
import { type Graph, graphOf, type Tensor } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import type { Past } from "../model/attention-block.ts";
import { headSize, isGpt2, isSliding, keyValueHeads, type ModelConfig } from "../model/config.ts";
import {
  type Decoder,
  type DecoderOptions,
  decoderStates,
  type Lookup,
  lookup,
  type Positions,
  weightTensors,
} from "../model/decoder.ts";
import type { KeyValue } from "../model/layers.ts";

/** A model, and how many places its caches have. */
export type Window = { readonly model: ModelConfig; readonly size: number };

/** How a graph has its weights: each form is one graph's own, with one input per name. */
export type Form = {
  readonly decoder: (options: DecoderOptions) => Decoder;
  /** Weights by the prefix of a block, or "". */
  readonly find: (prefix: string) => Lookup;
  /** T tokens, [1, T], i32: what the embedding looks up. */
  readonly tokens: (time: number) => Tensor;
  /** The named output for one place's state [1, C]. */
  readonly output: (decoder: Decoder, state: Tensor) => Readonly<Record<string, Tensor>>;
};

/** Flat weights in float32, ids as they are, and logits [1, V]. */
export function plainForm(model: ModelConfig): Form {
  const weights = weightTensors(model);
  return {
    decoder: (options) => decoderOf(model, options),
    find: (prefix) => lookup(weights, prefix),
    tokens: (time) => ir.input("ids", [1, time], "i32"),
    output: (decoder, state) => ({ logits: decoder.head(lookup(weights), state) }),
  };
}

/** What layers see and how they rotate: Gemma has two of these, all others one. */
export type View = "global" | "local";

export function viewOf(config: ModelConfig, layer: number): View {
  return !isGpt2(config) && isSliding(config, layer) ? "local" : "global";
}

/** Keys and values of every layer, as named outputs. */
function namedKeyValues(layers: readonly KeyValue[]): Record<string, Tensor> {
  return Object.fromEntries(
    layers.flatMap(({ key, value }, layer) => [
      [`key ${layer}`, key],
      [`value ${layer}`, value],
    ]),
  );
}

/**
 * T tokens, last [1] → the form's output after place `last`, and "key l", "value l" [1, KV, T, D].
 * What follows a place cannot change it.
 */
export function prefillGraph(form: Form, time: number): Graph {
  const layers: KeyValue[] = [];
  const cache = (_layer: number, fresh: KeyValue): undefined => void layers.push(fresh);
  const decoder = form.decoder({ cache });
  const states = decoderStates(decoder, form.find, form.tokens(time));
  const last = ir.gather(states, ir.input("last", [1], "i32"));
  return graphOf({ ...form.output(decoder, last), ...namedKeyValues(layers) });
}

/**
 * A token, "cached key l", "cached value l" [1, KV, S, D], per view its "mask" [1, S], and its
 * "cos" and "sin" [1, D/2] or, where positions are learned, "place" [1]
 * → the form's output, and the token's own "key l", "value l" [1, KV, 1, D].
 */
export function stepGraph(form: Form, { model, size }: Window): Graph {
  const shape = [1, keyValueHeads(model), size, headSize(model)];
  const layers: KeyValue[] = [];
  const inputs = new Map<string, Tensor>();
  const input = (name: string, own: readonly number[]): Tensor => {
    const known = inputs.get(name) ?? ir.input(name, own);
    inputs.set(name, known);
    return known;
  };
  const cache = (layer: number, fresh: KeyValue): Past => {
    layers.push(fresh);
    const key = ir.input(`cached key ${layer}`, shape);
    const mask = input(`${viewOf(model, layer)} mask`, [1, size]);
    return { key, value: ir.input(`cached value ${layer}`, shape), mask };
  };
  const half = [1, headSize(model) / 2];
  const positions: Positions = isGpt2(model)
    ? { places: ir.input("place", [1], "i32") }
    : {
        rope: (layer) => {
          const view = viewOf(model, layer);
          return { cos: input(`${view} cos`, half), sin: input(`${view} sin`, half) };
        },
      };
  const decoder = form.decoder({ positions, cache });
  const state = decoderStates(decoder, form.find, form.tokens(1));
  return graphOf({ ...form.output(decoder, state), ...namedKeyValues(layers) });
}
