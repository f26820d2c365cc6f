// How much memory writing with a model takes in a page, before any of it is taken.
// It deliberately compiles nothing.
import {
  contextLimit,
  headSize,
  keyValueHeads,
  layerCount,
  type ModelConfig,
} from "../model/config.ts";

/** The runtime with its graphs, and what a page needs besides. */
const RUNTIME_BYTES = 90e6;
/** As the generator's window. */
const CONTEXT_LENGTH_MAX = 2_048;
const FLOAT_BYTES = 4;

/**
 * About what writing takes at its peak: the weights here and once more where the runtime has them,
 * and the caches, which it reads and returns.
 *
 * @param weightBytes of all that is fed: flat weights, or a packed base and its adapters
 */
export function planWriting(model: ModelConfig, weightBytes: number): number {
  const places = Math.min(contextLimit(model), CONTEXT_LENGTH_MAX);
  const numbers = 2 * layerCount(model) * keyValueHeads(model) * headSize(model) * places;
  return RUNTIME_BYTES + 2 * weightBytes + 2 * FLOAT_BYTES * numbers;
}
