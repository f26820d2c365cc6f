// tidy-ignore dead-file: it reads the vectors for tests.
// Reads the vectors in vectors/engine, for tests only: PyTorch's results in float64, rounded to
// float32. It deliberately trusts them: they are our own files.
import type { ConstantData, DType, Shape } from "./ir/tensor.ts";

export type PackedTensor = {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly data: string;
};

/** The parsed file; the caller says what it holds. */
export function readVectors<T>(name: "architectures" | "operations" | "models" | "trainings"): T {
  const url = new URL(`../../../vectors/engine/${name}.json`, import.meta.url);
  // Not an import: what else is here also runs in a page.
  return JSON.parse(process.getBuiltinModule("node:fs").readFileSync(url, "utf8")) as T;
}

/** The numbers of a tensor that the file holds as base64. */
export function unpack(packed: PackedTensor): ConstantData {
  const bytes = Uint8Array.from(atob(packed.data), (character) => character.charCodeAt(0));
  return packed.dtype === "f32" ? new Float32Array(bytes.buffer) : new Int32Array(bytes.buffer);
}

/** ‖a − b‖ / ‖b‖, or ‖a‖ if b is zero. */
export function relativeDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let size = 0;
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    difference += (x - y) ** 2;
    size += y * y;
  }
  return Math.sqrt(size === 0 ? difference : difference / size);
}
