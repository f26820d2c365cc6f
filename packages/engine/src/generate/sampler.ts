// From logits to one token: temperature, top-k, top-p, and a seeded draw.
// It deliberately knows no model.
import { assert } from "@manyhands/base/assert";
import type { Random } from "@manyhands/base/random";

export type SamplingOptions = {
  /** Divides the logits; 0 takes the most likely token. Default 1. */
  readonly temperature?: number;
  /** Only the k most likely tokens. Default all. */
  readonly topK?: number;
  /** Only the most likely tokens whose probabilities first add up to p. Default 1: all. */
  readonly topP?: number;
};

type Candidate = { readonly id: number; readonly probability: number };

/**
 * The tokens that may be drawn, most likely first, with probabilities that add up to 1. Equal
 * logits keep the order of their ids.
 */
export function candidates(logits: Float32Array, options: SamplingOptions): readonly Candidate[] {
  const { temperature = 1, topK = logits.length, topP = 1 } = options;
  assert(temperature > 0 && topK >= 1 && topP > 0, "temperature, topK and topP are positive");
  const order = Array.from(logits, (logit, id) => ({ id, logit }));
  order.sort((a, b) => b.logit - a.logit || a.id - b.id);
  const kept = order.slice(0, topK);
  const max = kept[0]?.logit ?? 0;
  const weights = kept.map(({ logit }) => Math.exp((logit - max) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let count = 0;
  let mass = 0;
  while (count < kept.length && mass < topP * total) {
    mass += weights[count] ?? 0;
    count += 1;
  }
  return kept.slice(0, count).map(({ id }, i) => ({ id, probability: (weights[i] ?? 0) / mass }));
}

/** Draws one token id. One draw of the stream, whatever the options. */
export function sampleToken(
  logits: Float32Array,
  options: SamplingOptions,
  random: Random,
): number {
  const point = random.unit();
  if (options.temperature === 0) return argmax(logits);
  let sum = 0;
  let last = 0;
  for (const { id, probability } of candidates(logits, options)) {
    sum += probability;
    last = id;
    if (point < sum) return id;
  }
  return last;
}

function argmax(logits: Float32Array): number {
  let best = 0;
  logits.forEach((logit, id) => {
    if (logit > (logits[best] ?? Number.NEGATIVE_INFINITY)) best = id;
  });
  return best;
}
