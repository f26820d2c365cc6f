// Where the split lies, and what cannot be split.
import assert from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import fc from "fast-check";
import { splitTokens } from "./dataset.ts";

test("a split is the joined files, cut once: the training part rounds down", () => {
  const files = [Uint8Array.of(1, 2, 3), Uint8Array.of(4), Uint8Array.of(5, 6, 7)];
  const { train, validation } = splitTokens(files, 3_000);
  assert.deepEqual([...train], [1, 2, 3, 4]);
  assert.deepEqual([...validation], [5, 6, 7]);
});

test("Shakespeare's last tenth is 111 540 bytes", () => {
  const { train, validation } = splitTokens([new Uint8Array(1_115_394)], 1_000);
  assert.deepEqual([train.length, validation.length], [1_003_854, 111_540]);
});

test("the parts are all the tokens, and validation is at least its share", () => {
  const share = fc.integer({ min: 1, max: 9_999 });
  const files = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 });
  fc.assert(
    fc.property(files, share, (files, share) => {
      const all = files.flatMap((file) => [...file]);
      const kept = Math.floor((all.length * (10_000 - share)) / 10_000);
      fc.pre(kept > 0 && kept < all.length);
      const { train, validation } = splitTokens(files, share);
      assert.deepEqual([...train, ...validation], all);
      assert.equal(train.length, kept);
    }),
  );
});

test("a split with an empty part is an input error with a hint", () => {
  for (const size of [0, 1]) {
    assert.throws(
      () => splitTokens([new Uint8Array(size)], 1_000),
      (error) => error instanceof InputError && error.hint !== undefined,
    );
  }
});
