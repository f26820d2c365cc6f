// Flat arrays in one WebAssembly memory, and the loops over them, four numbers at a time.
// It deliberately knows no model: whoever has flat arrays may keep them here.
import { assert } from "@manyhands/base/assert";
import { flatKernels } from "./flat-kernels.ts";

type Memory = { readonly buffer: ArrayBuffer };
/** What is used of WebAssembly; every JavaScript engine has it, not every type library. */
type WebAssemblyParts = {
  readonly Memory: new (limits: { initial: number; maximum: number }) => Memory;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
};
type Loop<Result> = (...values: number[]) => Result;
type Kernels = {
  readonly add: Loop<void>;
  readonly squares: Loop<number>;
  readonly adamw: Loop<void>;
  readonly momentum: Loop<void>;
  readonly blend: Loop<void>;
};

const PAGE_BYTES = 65_536;
/** A 32-bit memory's limit. Arrays beyond it are ordinary, and visited through the memory. */
const PAGES_MAX = 65_536;
const LANES = 4;
const FLOAT_BYTES = 4;
/** Numbers of a piece of an array that lies elsewhere: small enough for a core's own cache. */
const STAGE = 16_384;
const STAGED_MAX = 4;

export type AdamwFactors = {
  readonly gradientScale: number;
  readonly beta1: number;
  readonly beta2: number;
  /** 1 − lr · decay */
  readonly keep: number;
  readonly stepSize: number;
  readonly eps: number;
};

/** The arrays that one AdamW update reads and writes: equally long parts of the flat state. */
export type AdamwPart = {
  readonly weights: Float32Array;
  readonly gradients: Float32Array;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
};

/**
 * Arrays of f32, and loops over them that take any equally long arrays, theirs or others; the same
 * bits on every device (docs/spec/07-numerics.md §7.3).
 */
export class FlatMemory {
  readonly #buffer: ArrayBuffer;
  readonly #kernels: Kernels;
  #used = STAGED_MAX * STAGE * FLOAT_BYTES;

  /** @param floats how many numbers its arrays will have in all; none by default */
  constructor(floats = 0) {
    // The host's own object, named by its type here.
    const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyParts };
    const pages = Math.ceil((this.#used + floats * FLOAT_BYTES) / PAGE_BYTES) + 1;
    const limit = pages <= PAGES_MAX ? pages : Math.ceil(this.#used / PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: limit, maximum: limit });
    const module = new WebAssembly.Module(flatKernels());
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    this.#buffer = memory.buffer;
    this.#kernels = exports as Kernels;
  }

  /** An array of zeros, in this memory while there is room. */
  floats(length: number): Float32Array<ArrayBuffer> {
    const bytes = Math.ceil(length / LANES) * LANES * FLOAT_BYTES;
    if (this.#used + bytes > this.#buffer.byteLength) return new Float32Array(length);
    const array = new Float32Array(this.#buffer, this.#used, length);
    this.#used += bytes;
    return array;
  }

  /** a ← a + b */
  add(a: Float32Array, b: Float32Array): void {
    this.#visit([a, b], 1, (pointers, end) => this.#kernels.add(...pointers, end));
  }

  /** Σ a² */
  squares(a: Float32Array): number {
    let sum = 0;
    this.#visit([a], 0, (pointers, end) => {
      sum += this.#kernels.squares(...pointers, end);
    });
    return sum;
  }

  /** As adamwUpdate, in single precision: m, v, then θ ← keep · θ − stepSize · m / (√v + ε). */
  adamw(part: AdamwPart, factors: AdamwFactors): void {
    const { weights, gradients, moment1, moment2 } = part;
    const { gradientScale, beta1, beta2, keep, stepSize, eps } = factors;
    const scalars = [gradientScale, beta1, 1 - beta1, beta2, 1 - beta2, keep, stepSize, eps];
    const arrays = [weights, gradients, moment1, moment2];
    this.#visit(arrays, 4, (pointers, end) => this.#kernels.adamw(...pointers, end, ...scalars));
  }

  /** With g the scaled gradient: m ← m + (1 − μ)(g − m); direction ← g + μ (m − g). */
  momentum(
    arrays: {
      readonly moment: Float32Array;
      readonly slope: Float32Array;
      readonly direction: Float32Array;
    },
    mu: number,
    gradientScale: number,
  ): void {
    const { moment, slope, direction } = arrays;
    const scalars = [gradientScale, 1 - mu, mu];
    this.#visit([moment, slope, direction], 3, (pointers, end) =>
      this.#kernels.momentum(...pointers, end, ...scalars),
    );
  }

  /** a ← keep · a − rate · b */
  blend(
    a: Float32Array,
    b: Float32Array,
    factors: { readonly keep: number; readonly rate: number },
  ): void {
    this.#visit([a, b], 1, (pointers, end) =>
      this.#kernels.blend(...pointers, end, factors.keep, factors.rate),
    );
  }

  /**
   * Runs a loop over whole arrays: in place over what lies here in whole lanes, through the stage
   * over the rest.
   *
   * @param written how many of the arrays, from the first, are copied back
   */
  #visit(
    arrays: readonly Float32Array[],
    written: number,
    run: (pointers: readonly number[], end: number) => void,
  ): void {
    const length = arrays[0]?.length ?? 0;
    assert(
      arrays.every((array) => array.length === length),
      "arrays are equally long",
    );
    const whole = length - (length % LANES);
    const here = arrays.every((array) => array.buffer === this.#buffer);
    const piece = here ? whole : STAGE;
    for (let start = 0; start < whole; start += piece) {
      const count = Math.min(piece, whole - start);
      this.#pass({ arrays, written, start, count }, run);
    }
    // The last numbers, fewer than four, go through the stage padded with zeros.
    if (whole < length) this.#pass({ arrays, written, start: whole, count: length - whole }, run);
  }

  #pass(
    span: {
      readonly arrays: readonly Float32Array[];
      readonly written: number;
      readonly start: number;
      readonly count: number;
    },
    run: (pointers: readonly number[], end: number) => void,
  ): void {
    const { arrays, written, start, count } = span;
    const lanes = Math.ceil(count / LANES) * LANES;
    const stage = (array: Float32Array, index: number): Float32Array | undefined => {
      if (array.buffer === this.#buffer && lanes === count) return undefined;
      const place = new Float32Array(this.#buffer, index * STAGE * FLOAT_BYTES, lanes);
      if (lanes > count) place.fill(0);
      place.set(array.subarray(start, start + count));
      return place;
    };
    const stages = arrays.map(stage);
    const pointers = arrays.map(
      (array, i) => stages[i]?.byteOffset ?? array.byteOffset + start * FLOAT_BYTES,
    );
    run(pointers, (pointers[0] ?? 0) + lanes * FLOAT_BYTES);
    for (const [index, place] of stages.slice(0, written).entries()) {
      if (place) arrays[index]?.set(place.subarray(0, count), start);
    }
  }
}
