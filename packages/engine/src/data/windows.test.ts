// Validation windows tile every token but the first; choices are evenly spread; splits are exact.
import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import fc from "fast-check";
import { splitBoundary, splitTokens } from "./dataset.ts";
import { spreadIndices, ValidationWindows } from "./windows.ts";

test("Shakespeare's validation split is the last 111 540 bytes in 872 windows of 128", () => {
  assert.equal(splitBoundary(1_115_394, 1_000), 1_003_854);
  const windows = new ValidationWindows(111_540, 128);
  assert.equal(windows.count, 872);
  assert.equal(windows.predictedTokens, 111_539);
  assert.deepEqual(windows.at(0), { start: 0, length: 128 });
  assert.deepEqual(windows.at(871), { start: 111_488, length: 51 });
  assert.throws(() => windows.at(872), /no window 872/);
});

test("every token but the first is predicted exactly once", () => {
  const sizes = [fc.integer({ min: 2, max: 400 }), fc.integer({ min: 1, max: 50 })] as const;
  fc.assert(
    fc.property(...sizes, (tokenCount, contextLength) => {
      const windows = new ValidationWindows(tokenCount, contextLength);
      const targets: number[] = [];
      for (let index = 0; index < windows.count; index++) {
        const { start, length } = windows.at(index);
        assert.ok(length >= 1 && length <= contextLength);
        for (let i = 0; i < length; i++) targets.push(start + i + 1);
      }
      const expected = Array.from({ length: tokenCount - 1 }, (_, i) => i + 1);
      assert.deepEqual(targets, expected);
    }),
  );
});

test("spread indices are ascending, distinct, inside, and gaps differ by at most one", () => {
  const counts = [fc.integer({ min: 1, max: 2_000 }), fc.integer({ min: 1, max: 2_000 })] as const;
  fc.assert(
    fc.property(...counts, (total, wanted) => {
      const indices = spreadIndices(total, wanted);
      assert.equal(indices.length, Math.min(total, wanted));
      assert.equal(indices[0], 0);
      assert.ok((indices.at(-1) ?? total) < total);
      const gaps = indices.slice(1).map((index, i) => index - (indices[i] ?? 0));
      assert.ok(gaps.every((gap) => gap >= 1));
      assert.ok(gaps.length === 0 || Math.max(...gaps) - Math.min(...gaps) <= 1);
    }),
  );
  assert.deepEqual(spreadIndices(10, 0), []);
});

test("too few validation tokens, and a split with an empty part, are input errors with a hint", () => {
  const helps = (error: unknown) => error instanceof InputError && error.hint !== undefined;
  assert.throws(() => new ValidationWindows(1, 8), helps);
  assert.throws(() => splitTokens([new Uint8Array(0)], 1_000), helps);
  assert.throws(() => splitTokens([new Uint8Array(1)], 1_000), helps);
});

test("a split is the joined files, cut once: the training part rounds down", () => {
  const files = [Uint8Array.of(1, 2, 3), Uint8Array.of(4), Uint8Array.of(5, 6, 7)];
  const { train, validation } = splitTokens(files, 3_000);
  assert.deepEqual([...train], [1, 2, 3, 4]);
  assert.deepEqual([...validation], [5, 6, 7]);
  assert.equal(splitBoundary(2 ** 52, 1), Number((2n ** 52n * 9_999n) / 10_000n));
});
