// Where samples start, against vectors from a second implementation; batches; too small data.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import { Sampler } from "./sampler.ts";

type Vector = {
  readonly seed: number;
  readonly trainTokens: number;
  readonly contextLength: number;
  readonly first: number;
  readonly starts: readonly number[];
};

const VECTORS = new URL("../../../../vectors/engine/samples.json", import.meta.url);

test("windows start where vectors/engine/samples.json says (spec 1.4)", () => {
  const vectors: Vector[] = JSON.parse(readFileSync(VECTORS, "utf8"));
  assert.ok(vectors.length >= 6);
  for (const { seed, trainTokens, contextLength, first, starts } of vectors) {
    const sampler = new Sampler({ train: new Uint8Array(trainTokens), contextLength, seed });
    const found = starts.map((_, i) => sampler.windowStart(first + i));
    assert.deepEqual(found, starts, `seed ${seed}, ${trainTokens} tokens from ${first}`);
  }
});

test("a batch has one row of contextLength + 1 tokens per sample", () => {
  const train = Uint8Array.from({ length: 100 }, (_, i) => i);
  const sampler = new Sampler({ train, contextLength: 5, seed: 1 });
  const out = new Int32Array(3 * 6);
  sampler.fill(out, 4, 3);
  for (let row = 0; row < 3; row++) {
    const start = sampler.windowStart(4 + row);
    const expected = [0, 1, 2, 3, 4, 5].map((i) => start + i);
    assert.deepEqual([...out.subarray(row * 6, row * 6 + 6)], expected, `row ${row}`);
  }
  assert.throws(() => sampler.fill(new Int32Array(17), 0, 3), /3 samples has 3 × 6 tokens/);
});

test("one window is enough, one token less is an InputError with a hint", () => {
  const one = new Sampler({ train: new Uint8Array(9), contextLength: 8, seed: 0 });
  assert.equal(one.windowsPerEpoch, 1);
  assert.equal(one.windowStart(12_345), 0);
  assert.throws(
    () => new Sampler({ train: new Uint8Array(8), contextLength: 8, seed: 0 }),
    (error) => error instanceof InputError && /lower recipe.contextLength/.test(error.hint ?? ""),
  );
});

test("a sample index is an integer from 0", () => {
  const sampler = new Sampler({ train: new Uint8Array(100), contextLength: 8, seed: 0 });
  for (const index of [-1, 0.5, Number.NaN, 2 ** 53]) {
    assert.throws(() => sampler.windowStart(index), /sample index/, String(index));
  }
});
