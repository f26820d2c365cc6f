// The two graphs of generation: prefill reads a prompt, a step reads one token beside cached keys.
// They deliberately have static shapes: a prompt is padded at its end, an empty place of the cache
// is masked.
import * as ir from "../ir/ops.ts";
import { type Graph, graphOf, type Tensor } from "../ir/tensor.ts";
import { headSize, type LlamaConfig } from "../model/config.ts";
import { decoderLogits, weightTensors } from "../model/decoder.ts";
import type { KeyValue } from "../model/layers.ts";
import { llamaDecoder, type Past } from "../model/llama.ts";

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
 * ids [1, T] → logits [T, V], and "key l", "value l" [1, KV, T, D]. What follows a place cannot
 * change it.
 */
export function prefillGraph(config: LlamaConfig, time: number): Graph {
  const layers: KeyValue[] = [];
  const cache = (_layer: number, fresh: KeyValue): undefined => void layers.push(fresh);
  const decoder = llamaDecoder(config, { cache });
  const ids = ir.input("ids", [1, time], "i32");
  const logits = decoderLogits(decoder, weightTensors(config), ids);
  return graphOf({ logits, ...namedKeyValues(layers) });
}

/**
 * ids [1, 1], cos and sin [1, D/2], mask [1, S], "cached key l", "cached value l" [1, KV, S, D]
 * → logits [1, V], and the token's own "key l", "value l" [1, KV, 1, D].
 */
export function stepGraph(config: LlamaConfig): Graph {
  const size = config.maxPositionEmbeddings;
  const half = headSize(config) / 2;
  const shape = [1, config.numKeyValueHeads, size, headSize(config)];
  const layers: KeyValue[] = [];
  const mask = ir.input("mask", [1, size]);
  const cache = (layer: number, fresh: KeyValue): Past => {
    layers.push(fresh);
    const key = ir.input(`cached key ${layer}`, shape);
    return { key, value: ir.input(`cached value ${layer}`, shape), mask };
  };
  const positions = { cos: ir.input("cos", [1, half]), sin: ir.input("sin", [1, half]) };
  const decoder = llamaDecoder(config, { positions, cache });
  const logits = decoderLogits(decoder, weightTensors(config), ir.input("ids", [1, 1], "i32"));
  return graphOf({ logits, ...namedKeyValues(layers) });
}
