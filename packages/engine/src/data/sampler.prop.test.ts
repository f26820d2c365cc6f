// For any size and seed: an epoch is a shuffle, windows lie inside and never overlap, phases move.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Permutation } from "./permutation.ts";
import { Sampler } from "./sampler.ts";

const seed = fc.maxSafeNat();

test("a permutation visits each element once, whatever its size", () => {
  const size = fc.integer({ min: 1, max: 600 });
  fc.assert(
    fc.property(seed, size, fc.maxSafeNat(), (seed, size, epoch) => {
      const permutation = new Permutation(seed, size);
      const images = Array.from({ length: size }, (_, index) => permutation.at(epoch, index));
      assert.deepEqual(
        images.toSorted((a, b) => a - b),
        images.map((_, index) => index),
      );
    }),
  );
});

test("a large permutation stays inside and does not repeat itself", () => {
  const size = fc.integer({ min: 1 << 20, max: 2 ** 52 });
  fc.assert(
    fc.property(seed, size, (seed, size) => {
      const permutation = new Permutation(seed, size);
      const images = Array.from({ length: 64 }, (_, index) => permutation.at(0, index));
      assert.ok(images.every((image) => Number.isSafeInteger(image) && image >= 0 && image < size));
      assert.equal(new Set(images).size, images.length);
    }),
    { numRuns: 30 },
  );
});

test("an epoch's windows lie inside the training tokens and predict no token twice", () => {
  const contextLength = fc.integer({ min: 1, max: 20 });
  const more = fc.integer({ min: 1, max: 500 });
  fc.assert(
    fc.property(seed, contextLength, more, fc.nat(50), (seed, contextLength, more, epoch) => {
      const train = new Uint8Array(contextLength + more);
      const sampler = new Sampler({ train, contextLength, seed });
      const count = sampler.windowsPerEpoch;
      const starts = Array.from({ length: count }, (_, i) =>
        sampler.windowStart(epoch * count + i),
      );
      starts.sort((a, b) => a - b);
      starts.forEach((start, i) => {
        assert.ok(start >= 0 && start + contextLength + 1 <= train.length);
        if (i > 0) assert.equal(start - (starts[i - 1] as number), contextLength);
      });
      const missed = train.length - 1 - count * contextLength;
      assert.ok(missed < 2 * contextLength, `an epoch leaves out ${missed} tokens`);
    }),
  );
});

test("order and phase change from epoch to epoch and from seed to seed", () => {
  const train = new Uint8Array(10_000);
  const epochOf = (seed: number, epoch: number): string => {
    const sampler = new Sampler({ train, contextLength: 16, seed });
    const first = epoch * sampler.windowsPerEpoch;
    return Array.from({ length: 32 }, (_, i) => sampler.windowStart(first + i)).join();
  };
  const orders = [0, 1, 2, 3].flatMap((seed) => [0, 1, 2, 3].map((epoch) => epochOf(seed, epoch)));
  assert.equal(new Set(orders).size, orders.length);
  const sampler = new Sampler({ train, contextLength: 16, seed: 0 });
  const phases = Array.from({ length: 400 }, (_, epoch) => {
    return sampler.windowStart(epoch * sampler.windowsPerEpoch) % 16;
  });
  assert.equal(new Set(phases).size, 16, "400 epochs draw each of 16 phases");
});

test("a shuffle is even: each element comes first about equally often", () => {
  const counts = new Array<number>(5).fill(0);
  const permutation = new Permutation(11, 5);
  for (let epoch = 0; epoch < 5_000; epoch++) {
    const first = permutation.at(epoch, 0);
    counts[first] = (counts[first] ?? 0) + 1;
  }
  // Five standard deviations of a fair draw: 5 · √(5000 · 0.2 · 0.8) = 141.
  for (const count of counts) assert.ok(Math.abs(count - 1_000) < 141, counts.join(", "));
});
