// The two graphs of generation: prefill reads a whole window, a step reads one token beside cached
// keys. They deliberately have static shapes: a window is padded at its end, an empty place of the
// cache is masked.
import * as ir from "../ir/ops.ts";
import { type Graph, graphOf, type Tensor } from "../ir/tensor.ts";
import { headSize, type LlamaConfig } from "../model/config.ts";
import { decoderLogits, weightTensors } from "../model/decoder.ts";
import { type KeyValue, llamaDecoder } from "../model/llama.ts";

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
 * ids [1, S] → logits [S, V], and "key l", "value l" [1, KV, S, D]. What follows a place cannot
 * change it.
 */
export function prefillGraph(config: LlamaConfig): Graph {
  const size = config.maxPositionEmbeddings;
  const layers: KeyValue[] = [];
  const cache = (_layer: number, fresh: KeyValue): KeyValue => {
    layers.push(fresh);
    return fresh;
  };
  const decoder = llamaDecoder(config, { cache });
  const ids = ir.input("ids", [1, size], "i32");
  const logits = decoderLogits(decoder, weightTensors(config), ids);
  return graphOf({ logits, ...namedKeyValues(layers) });
}

/**
 * ids [1, 1], cos and sin [1, D/2], mask [1, S + 1], "cached key l", "cached value l" [1, KV, S, D]
 * → logits [1, V], and the token's own "key l", "value l" [1, KV, 1, D]. Its own place is the
 * mask's last.
 */
export function stepGraph(config: LlamaConfig): Graph {
  const size = config.maxPositionEmbeddings;
  const half = headSize(config) / 2;
  const shape = [1, config.numKeyValueHeads, size, headSize(config)];
  const layers: KeyValue[] = [];
  const cache = (layer: number, fresh: KeyValue): KeyValue => {
    layers.push(fresh);
    return {
      key: ir.concat([ir.input(`cached key ${layer}`, shape), fresh.key], 2),
      value: ir.concat([ir.input(`cached value ${layer}`, shape), fresh.value], 2),
    };
  };
  const positions = {
    cos: ir.input("cos", [1, half]),
    sin: ir.input("sin", [1, half]),
    mask: ir.input("mask", [1, size + 1]),
  };
  const decoder = llamaDecoder(config, { positions, cache });
  const logits = decoderLogits(decoder, weightTensors(config), ir.input("ids", [1, 1], "i32"));
  return graphOf({ logits, ...namedKeyValues(layers) });
}
