import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "@manyhands/base/random";
import { FlatMemory } from "./flat-memory.ts";

const random = new Random(5);
/** Whole lanes, a rest, more than one stage. */
const LENGTHS = [1, 3, 4, 63, 16_384, 40_001];

function noise(into: Float32Array): Float32Array {
  for (let i = 0; i < into.length; i++) into[i] = random.unit() - 0.5;
  return into;
}

/** Arrays in the memory, beside it, and in memory that threads share. */
function placed(memory: FlatMemory, length: number): readonly Float32Array[] {
  const shared = new Float32Array(new SharedArrayBuffer(4 * length));
  return [memory.floats(length), new Float32Array(length), shared].map(noise);
}

for (const length of LENGTHS) {
  test(`${length} numbers: sums are the plain loops' bits, wherever arrays lie`, () => {
    const memory = new FlatMemory(8 * length + 64);
    for (const a of placed(memory, length)) {
      for (const b of placed(memory, length)) {
        const sum = a.map((x, i) => x + b[i]!);
        const blend = a.map((x, i) => Math.fround(x * 0.5) - Math.fround(Math.fround(0.1) * b[i]!));
        const before = a.slice();
        memory.add(a, b);
        assert.deepEqual([...a], [...sum]);
        a.set(before);
        memory.blend(a, b, { keep: 0.5, rate: 0.1 });
        assert.deepEqual([...a], [...blend]);
      }
      const squares = a.reduce((total, x) => total + x * x, 0);
      assert(Math.abs(memory.squares(a) - squares) <= 1e-12 * squares);
    }
  });

  test(`${length} numbers: AdamW and momentum follow their formulas`, () => {
    const memory = new FlatMemory(8 * length + 64);
    const [weights, gradients, moment1, moment2] = [0, 1, 2, 3].map(() =>
      noise(memory.floats(length)),
    ) as [Float32Array, Float32Array, Float32Array, Float32Array];
    for (let i = 0; i < length; i++) moment2[i] = Math.abs(moment2[i]!);
    const [w, m, v] = [weights.slice(), moment1.slice(), moment2.slice()];
    const factors = {
      gradientScale: 0.7,
      beta1: 0.9,
      beta2: 0.95,
      keep: 0.99,
      stepSize: 0.01,
      eps: 1e-8,
    };
    memory.adamw({ weights, gradients, moment1, moment2 }, factors);
    for (let i = 0; i < length; i++) {
      const g = gradients[i]! * 0.7;
      const [first, second] = [0.9 * m[i]! + 0.1 * g, 0.95 * v[i]! + 0.05 * g * g];
      const expected = 0.99 * w[i]! - (0.01 * first) / (Math.sqrt(second) + 1e-8);
      assert(Math.abs(moment1[i]! - first) < 1e-6);
      assert(Math.abs(moment2[i]! - second) < 1e-6);
      assert(Math.abs(weights[i]! - expected) < 1e-5);
    }
    const [moment, direction] = [noise(new Float32Array(length)), new Float32Array(length)];
    const old = moment.slice();
    memory.momentum({ moment, slope: gradients, direction }, 0.95, 0.7);
    for (let i = 0; i < length; i++) {
      const g = gradients[i]! * 0.7;
      const next = old[i]! + 0.05 * (g - old[i]!);
      assert(Math.abs(moment[i]! - next) < 1e-6);
      assert(Math.abs(direction[i]! - (g + 0.95 * (next - g))) < 1e-6);
    }
  });
}

test("what does not fit is ordinary, and arrays start as zeros", () => {
  const memory = new FlatMemory(8);
  const arrays = [memory.floats(8), memory.floats(1_000_000)];
  assert(arrays.every((array) => array.every((x) => x === 0)));
  assert.notEqual(arrays[0]?.buffer, arrays[1]?.buffer);
});
