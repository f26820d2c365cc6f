// The two graphs of generation: prefill reads a prompt, a step reads one token beside cached keys.
// They deliberately have static shapes: a prompt is padded at its end, an empty place of the cache
// is masked.
import * as ir from "../ir/ops.ts";
import { type Graph, graphOf, type Tensor } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import type { Past } from "../model/attention-block.ts";
import { headSize, isGpt2, isSliding, keyValueHeads, type ModelConfig } from "../model/config.ts";
import { decoderStates, lookup, type Positions, weightTensors } from "../model/decoder.ts";
import type { KeyValue } from "../model/layers.ts";

/** A model, and how many places its caches have. */
export type Window = { readonly model: ModelConfig; readonly size: number };

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
 * ids [1, T], last [1] → logits [1, V] after place `last`, and "key l", "value l" [1, KV, T, D].
 * What follows a place cannot change it.
 */
export function prefillGraph(config: ModelConfig, time: number): Graph {
  const layers: KeyValue[] = [];
  const cache = (_layer: number, fresh: KeyValue): undefined => void layers.push(fresh);
  const decoder = decoderOf(config, { cache });
  const ids = ir.input("ids", [1, time], "i32");
  const weights = weightTensors(config);
  const states = decoderStates(decoder, weights, ids);
  const last = ir.gather(states, ir.input("last", [1], "i32"));
  return graphOf({ logits: decoder.head(lookup(weights), last), ...namedKeyValues(layers) });
}

/**
 * ids [1, 1], "cached key l", "cached value l" [1, KV, S, D], per view its "mask" [1, S], and its
 * "cos" and "sin" [1, D/2] or, where positions are learned, "place" [1]
 * → logits [1, V], and the token's own "key l", "value l" [1, KV, 1, D].
 */
export function stepGraph({ model, size }: Window): Graph {
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
  const decoder = decoderOf(model, { positions, cache });
  const weights = weightTensors(model);
  const states = decoderStates(decoder, weights, ir.input("ids", [1, 1], "i32"));
  return graphOf({ logits: decoder.head(lookup(weights), states), ...namedKeyValues(layers) });
}
