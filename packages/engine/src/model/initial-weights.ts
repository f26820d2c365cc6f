// The weights before the first step, from a seed, by exact arithmetic: every peer derives the same bits.
// It deliberately uses no logarithm, sine or runtime, whose last bits differ between machines.
import { Random } from "@manyhands/base/random";
import { type LlamaConfig, type ParameterPlace, parameterPlaces } from "./config.ts";

/** The standard deviation of embeddings and of the matrices that read the residual stream. */
const INITIAL_STD = 0.02;
/** Matrices that write to the residual stream, and the head, start at zero: at first every block is silent. */
const ZERO_SUFFIXES = ["o_proj.weight", "down_proj.weight", "lm_head.weight"];
const UNIFORMS = 12;
const UNIFORM_STEPS = 65536;

/**
 * The flat initial weights, in the order of parameterSpecs. Norm gains are 1; o_proj, down_proj and lm_head
 * are 0; everything else is approximately N(0, 0.02²). Parameter number p draws from stream p of the seed.
 *
 * @param seed a safe integer ≥ 0
 */
export function initialWeights(config: LlamaConfig, seed: number): Float32Array {
  const places = parameterPlaces(config);
  const last = places.at(-1);
  const weights = new Float32Array(last ? last.offset + last.size : 0);
  places.forEach((place, stream) => {
    fill(
      weights.subarray(place.offset, place.offset + place.size),
      place,
      new Random(seed, stream),
    );
  });
  return weights;
}

function fill(values: Float32Array, place: ParameterPlace, random: Random): void {
  if (place.shape.length === 1) {
    values.fill(1);
    return;
  }
  if (ZERO_SUFFIXES.some((suffix) => place.name.endsWith(suffix))) return;
  for (let i = 0; i < values.length; i++) values[i] = Math.fround(normal(random) * INITIAL_STD);
}

/**
 * Approximately N(0, 1): the sum of twelve uniforms less six (Irwin–Hall), each of 16 bits and centred in
 * its step. The sum is an integer, hence exact.
 */
function normal(random: Random): number {
  let sum = 0;
  for (let pair = 0; pair < UNIFORMS / 2; pair++) {
    const word = random.word();
    sum += (word >>> 16) + (word & 0xffff);
  }
  return (sum + UNIFORMS / 2 - (UNIFORMS / 2) * UNIFORM_STEPS) / UNIFORM_STEPS;
}
