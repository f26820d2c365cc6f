// Adapters before the first step, from a seed, by exact arithmetic: every peer derives the same
// bits. It deliberately uses no runtime.
import { InputError } from "@manyhands/base/errors";
import { Random } from "@manyhands/base/random";
import type { BaseModel } from "../quantize/base-model.ts";
import { type AdapterConfig, adapterCount, adapterPlaces, targetedModules } from "./config.ts";

/**
 * A is uniform in ±1/√in (Kaiming's with a = √5, as PEFT's), B is 0, so that at first adapters
 * change nothing; magnitudes are the norms of the base's own columns. Module m draws from stream m.
 *
 * @param seed a safe integer ≥ 0
 * @returns    flat, in the order of adapterSpecs
 * @throws     InputError if DoRA is asked of a matrix that has an output of zeros
 */
export function initialAdapters(
  base: Pick<BaseModel, "config" | "tensor" | "values">,
  adapter: AdapterConfig,
  seed: number,
): Float32Array {
  const flat = new Float32Array(adapterCount(base.config, adapter));
  const places = adapterPlaces(base.config, adapter);
  const parts = adapter.useDora ? 3 : 2;
  targetedModules(base.config, adapter).forEach((module, index) => {
    const [a, , magnitude] = places.slice(index * parts, (index + 1) * parts);
    const bound = 1 / Math.sqrt(module.inSize);
    const random = new Random(seed, index);
    const at = a?.offset ?? 0;
    for (let i = 0; i < (a?.size ?? 0); i++) {
      flat[at + i] = Math.fround((2 * random.unit() - 1) * bound);
    }
    if (magnitude) {
      const squares = columnSquares(base, module.name, module.inputMajor);
      checkMagnitudes(module.name, squares);
      flat.set(squares.map(Math.sqrt), magnitude.offset);
    }
  });
  return flat;
}

/** DoRA divides by norms. @throws InputError */
function checkMagnitudes(module: string, squares: Float32Array): void {
  const output = squares.indexOf(0);
  if (output < 0) return;
  throw new InputError(`${module}: output ${output} has weights of 0 only, which DoRA divides by`, {
    hint: "leave useDora out, or choose other targetModules",
  });
}

/** Σ w² of each of a matrix' outputs, summed in float64: what DoRA's norms are made of. */
export function columnSquares(
  base: Pick<BaseModel, "tensor" | "values">,
  module: string,
  inputMajor: boolean,
): Float32Array {
  const name = `${module}.weight`;
  const [rows = 0, columns = 0] = base.tensor(name).shape;
  const sums = new Float64Array(inputMajor ? columns : rows);
  const values = base.values(name);
  for (let i = 0; i < values.length; i++) {
    const output = inputMajor ? i % columns : Math.floor(i / columns);
    sums[output] = (sums[output] as number) + (values[i] as number) ** 2;
  }
  return Float32Array.from(sums);
}
