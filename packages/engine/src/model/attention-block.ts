// Attention within a block, the same for every architecture: rows of q, k and v in, mixed values
// out; one key may serve several heads, and earlier keys may come from a cache.
// It deliberately has no weights: what an architecture does to q and k is an argument.
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";
import { cachedAttention, causalAttention, type KeyValue } from "./layers.ts";

/** Where a block stands, and what its rows are. */
export type BlockPlace = {
  readonly layer: number;
  readonly batch: number;
  readonly time: number;
};

/** What a single new token sees besides itself: keys and values of S places, [1, S] says which. */
export type Past = KeyValue & { readonly mask: Tensor };

/**
 * Takes a layer's new keys and values. What it gives back is the past of a single token; if that is
 * nothing, the tokens see each other, causally.
 */
export type Cache = (layer: number, fresh: KeyValue) => Past | undefined;

export type AttentionOptions = {
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly width: number;
  /** What scores are multiplied by. */
  readonly scale: number;
  /** How many places a token sees, its own included. Default: all. */
  readonly window?: number | undefined;
  /** What happens to q or k [B, heads, T, D] before they meet. Default: nothing. */
  readonly prepare?: (x: Tensor, kind: "q" | "k") => Tensor;
  readonly cache?: Cache | undefined;
};

/** qkv [B·T, (H + 2 KV) D] → the mixed values [B·T, H·D]. */
export function selfAttention(qkv: Tensor, place: BlockPlace, options: AttentionOptions): Tensor {
  const { heads, keyValueHeads, width, scale, window } = options;
  const { batch, time, layer } = place;
  const group = heads / keyValueHeads;
  const split = ir.reshape(qkv, [batch, time, heads + 2 * keyValueHeads, width]);
  const byHead = ir.transpose(split, [0, 2, 1, 3]);
  const keysEnd = heads + keyValueHeads;
  const prepare = options.prepare ?? ((x) => x);
  const q = prepare(ir.slice(byHead, 1, 0, heads), "q");
  const fresh = {
    key: prepare(ir.slice(byHead, 1, heads, keysEnd), "k"),
    value: ir.slice(byHead, 1, keysEnd, keysEnd + keyValueHeads),
  };
  const past = options.cache?.(layer, fresh);
  // Queries of the heads that share a key are rows of one matrix: the keys are never repeated.
  const shape = [batch, keyValueHeads, group];
  const mixed = past
    ? cachedAttention(ir.reshape(q, [...shape, width]), { ...past, scale }, fresh)
    : causalAttention(ir.reshape(q, [...shape, time, width]), fresh, { scale, window });
  const byTime = ir.transpose(ir.reshape(mixed, [batch, heads, time, width]), [0, 2, 1, 3]);
  return ir.reshape(byTime, [batch * time, heads * width]);
}
