// The weights before the first step, from a seed, by exact arithmetic: every peer derives the same
// bits. It deliberately uses no logarithm, sine or runtime, whose last bits differ between
// machines.
import { Random } from "@manyhands/base/random";
import {
  featuresOf,
  isGpt2,
  type ModelConfig,
  type ParameterPlace,
  parameterPlaces,
} from "./config.ts";

/** The standard deviation of matrices that read the residual stream, and of a tied embedding. */
const INITIAL_STD = 0.02;
/** What the blocks add to: the best of 0.02, 0.3 and 1 on the demo model. */
const EMBEDDING_STD = 0.3;
const EMBEDDINGS = ["model.embed_tokens.weight", "transformer.wte.weight"];
/**
 * Matrices that write to the residual stream, and the head, start at zero: at first every block is
 * silent.
 */
const ZERO_SUFFIXES = ["o_proj.weight", "down_proj.weight", "c_proj.weight", "lm_head.weight"];
const UNIFORMS = 12;
const UNIFORM_STEPS = 65536;

/**
 * The flat initial weights, in the order of parameterSpecs. Norm gains are 1 (a weight of 0 where
 * Gemma adds the 1); biases, o_proj,
 * down_proj, c_proj and lm_head are 0; the embedding is approximately N(0, 0.3²), or N(0, 0.02²) if
 * it is the head too; everything else is N(0, 0.02²). Parameter number p draws from stream p of the
 * seed.
 *
 * @param seed a safe integer ≥ 0
 */
export function initialWeights(config: ModelConfig, seed: number): Float32Array {
  const places = parameterPlaces(config);
  const gain = isGpt2(config) ? 1 : 1 - featuresOf(config).gainOffset;
  const last = places.at(-1);
  const weights = new Float32Array(last ? last.offset + last.size : 0);
  places.forEach((place, stream) => {
    const values = weights.subarray(place.offset, place.offset + place.size);
    const wide = EMBEDDINGS.includes(place.name) && !config.tieWordEmbeddings;
    const std = wide ? EMBEDDING_STD : INITIAL_STD;
    fill(values, place, { random: new Random(seed, stream), std, gain });
  });
  return weights;
}

type Draw = { readonly random: Random; readonly std: number; readonly gain: number };

function fill(values: Float32Array, place: ParameterPlace, { random, std, gain }: Draw): void {
  if (place.name.endsWith(".bias")) return;
  if (place.shape.length === 1) {
    values.fill(gain);
    return;
  }
  if (ZERO_SUFFIXES.some((suffix) => place.name.endsWith(suffix))) return;
  for (let i = 0; i < values.length; i++) values[i] = Math.fround(normal(random) * std);
}

/**
 * Approximately N(0, 1): the sum of twelve uniforms less six (Irwin–Hall), each of 16 bits and
 * centred in its step. The sum is an integer, hence exact.
 */
function normal(random: Random): number {
  let sum = 0;
  for (let pair = 0; pair < UNIFORMS / 2; pair++) {
    const word = random.word();
    sum += (word >>> 16) + (word & 0xffff);
  }
  return (sum + UNIFORMS / 2 - (UNIFORMS / 2) * UNIFORM_STEPS) / UNIFORM_STEPS;
}
