// Packing: what each format promises about its error, and that what is a level already comes back.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canPack, packWeights, unpackInto } from "./formats.ts";
import { floatOfHalf, halfByteTable, halfOfFloat } from "./half.ts";

const SIZE = 128;
const weights = fc
  .array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: SIZE, maxLength: SIZE })
  .map((values) => Float32Array.from(values));

function roundTrip(format: Parameters<typeof packWeights>[0], values: Float32Array): Float32Array {
  const back = new Float32Array(values.length);
  unpackInto(packWeights(format, values), back);
  return back;
}

/** The greatest magnitude of each block. */
function peaks(values: Float32Array, block: number): number[] {
  return Array.from({ length: values.length / block }, (_, b) =>
    values.subarray(b * block, (b + 1) * block).reduce((max, x) => Math.max(max, Math.abs(x)), 0),
  );
}

/** Half of the widest step between levels, as a share of a block's peak; and the scale's error. */
const BOUNDS = { q8: [32, 0.5 / 127 + 0.001], q4: [32, 1 / 8 + 0.001], nf4: [64, 0.153] } as const;

for (const [format, [block, share]] of Object.entries(BOUNDS)) {
  test(`${format}: no weight is further off than a step of its block allows`, () => {
    fc.assert(
      fc.property(weights, (values) => {
        const back = roundTrip(format as keyof typeof BOUNDS, values);
        const limits = peaks(values, block);
        values.forEach((x, i) => {
          // A scale is a half float: no finer than 2⁻²⁴, of which 127 are 8e-6.
          const limit = share * (limits[Math.floor(i / block)] ?? 0) + 8e-6;
          assert(Math.abs((back[i] ?? 0) - x) <= limit, `${x} became ${back[i]}`);
        });
      }),
    );
  });
}

test("ternary: a matrix of −s, 0 and s comes back to the bit", () => {
  const trits = fc.array(fc.constantFrom(-1, 0, 1), { minLength: SIZE, maxLength: SIZE });
  const scale = fc.float({ min: Math.fround(1e-3), max: 8, noNaN: true });
  fc.assert(
    fc.property(trits, scale, (levels, s) => {
      const values = Float32Array.from(levels, (level) => level * s);
      assert.deepEqual(
        roundTrip("ternary", values).map((x) => x + 0),
        values.map((x) => x + 0),
      );
    }),
  );
});

test("what a format gave back, it gives back again", () => {
  fc.assert(
    fc.property(weights, fc.constantFrom("f16", "q8", "nf4", "ternary"), (values, format) => {
      const once = roundTrip(format as "f16", values);
      const twice = roundTrip(format as "f16", once);
      twice.forEach((x, i) => {
        // Below 2⁻¹⁴ a scale has fewer bits, and a peak may come back as 126: another scale.
        const limit = 1e-3 * Math.abs(x) + 8e-6;
        assert(Math.abs(x - (once[i] ?? 0)) <= limit, `${once[i]} became ${x}`);
      });
    }),
  );
});

test("half floats: every one comes back, and the nearest is taken, ties to even", () => {
  for (let half = 0; half < 1 << 16; half++) {
    const value = floatOfHalf(half);
    if (!Number.isNaN(value)) assert.equal(halfOfFloat(value), half);
  }
  const ties = [
    [1 + 2 ** -11, 1],
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [2 ** -25, 0],
    [3 * 2 ** -25, 2 ** -23],
    [65519, 65504],
    [65520, Number.POSITIVE_INFINITY],
  ] as const;
  for (const [value, expected] of ties) assert.equal(floatOfHalf(halfOfFloat(value)), expected);
  assert(Number.isNaN(floatOfHalf(halfOfFloat(Number.NaN))));
});

test("half floats from their bytes by a table are half floats", () => {
  const table = halfByteTable();
  for (let half = 0; half < 1 << 16; half++) {
    const value = floatOfHalf(half);
    if (!Number.isFinite(value)) continue;
    const [first = 0, step = 0] = table.subarray((half >> 8) * 2);
    assert.equal(Math.fround(first + Math.fround(step * (half & 255))), value);
  }
});

test("rows that blocks do not fill are not packed", () => {
  assert(canPack("q4", [3, 64]) && !canPack("q4", [64, 40]));
  assert(canPack("nf4", [40, 16]) && !canPack("nf4", [3, 40]));
  assert(canPack("f16", [3, 5]) && !canPack("ternary", [3, 5]));
});
