// Adapters before the first step, from a seed, by exact arithmetic: every peer derives the same
// bits. It deliberately uses no runtime.
import { Random } from "@manyhands/base/random";
import type { BaseModel } from "../quantize/base-model.ts";
import { type AdapterConfig, adapterCount, adapterPlaces, targetedModules } from "./config.ts";

/**
 * A is uniform in ±1/√in (Kaiming's with a = √5, as PEFT's), B is 0, so that at first adapters
 * change nothing; magnitudes are the norms of the base's own columns. Module m draws from stream m.
 *
 * @param seed a safe integer ≥ 0
 * @returns    flat, in the order of adapterSpecs
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
      flat.set(squares.map(Math.sqrt), magnitude.offset);
    }
  });
  return flat;
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
