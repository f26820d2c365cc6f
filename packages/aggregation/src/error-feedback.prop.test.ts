// Error feedback: only rounding is lost, and over rounds what was sent catches up (spec §2.9).
import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "@manyhands/base/bytes";
import { Random } from "@manyhands/base/random";
import fc from "fast-check";
import { CODEC_NAMES } from "./codec/codecs.ts";
import { decodeUpdate, encodeUpdate } from "./codec/update.ts";
import { compress, compressInto } from "./error-feedback.ts";
import type { Fragment } from "./fragments.ts";

const FRAGMENTS: readonly Fragment[] = [
  { name: "a", shape: [5, 4], dtype: "f32" },
  { name: "b", shape: [3], dtype: "f32" },
];
const SIZE = 23;
const floats = fc.float32Array({
  min: -4,
  max: 4,
  noNaN: true,
  minLength: SIZE,
  maxLength: SIZE,
});

test("x = fround(Δ + e); bytes = encode(x); e′ = fround(x − decode(bytes)), bit for bit", () => {
  const codecs = fc.constantFrom(...CODEC_NAMES);
  fc.assert(
    fc.property(codecs, floats, floats, (codec, pseudoGradient, residual) => {
      const before = [residual.slice(), pseudoGradient.slice()];
      const options = { codec, fragments: FRAGMENTS, pseudoGradient, residual };
      const { bytes, residualAfter } = compress(options);
      assert.deepEqual([residual, pseudoGradient], before, "compress reads its arguments only");
      const x = pseudoGradient.map((v, i) => Math.fround(v + (residual[i] ?? NaN)));
      assert.equal(toHex(bytes), toHex(encodeUpdate({ codec, fragments: FRAGMENTS, values: x })));
      const decoded = decodeUpdate(bytes, FRAGMENTS);
      assert.ok(decoded.ok);
      const { values } = decoded.value;
      assert.deepEqual(
        residualAfter,
        x.map((v, i) => Math.fround(v - (values[i] ?? NaN))),
      );
      for (const [i, v] of x.entries()) {
        const restored = (values[i] ?? NaN) + (residualAfter[i] ?? NaN);
        const ulp = 2 ** -24 * Math.max(Math.abs(v), Math.abs(values[i] ?? NaN), 2 ** -100) * 2;
        assert.ok(Math.abs(v - restored) <= ulp, `${codec}: ${v} against ${restored}`);
      }
    }),
  );
});

test("in place gives the same, and the decoded values beside it", () => {
  const random = new Random(5);
  const pseudoGradient = Float32Array.from({ length: SIZE }, () => random.unit() - 0.5);
  const residual = Float32Array.from({ length: SIZE }, () => random.unit() - 0.5);
  for (const codec of CODEC_NAMES) {
    const options = { codec, fragments: FRAGMENTS, pseudoGradient };
    const { bytes, residualAfter } = compress({ ...options, residual });
    const overwritten = residual.slice();
    const decoded = new Float32Array(SIZE);
    assert.deepEqual(compressInto({ ...options, residual: overwritten, decoded }), bytes);
    assert.deepEqual(overwritten, residualAfter);
    const expected = decodeUpdate(bytes, FRAGMENTS);
    assert.ok(expected.ok);
    assert.deepEqual(decoded, expected.value.values);
  }
});

test("fragments that are not covered keep their residual", () => {
  const residual = Float32Array.from({ length: SIZE }, (_, i) => i);
  const pseudoGradient = new Float32Array(SIZE).fill(NaN);
  pseudoGradient.fill(1, 20);
  for (const codec of CODEC_NAMES) {
    const options = { codec, fragments: FRAGMENTS, covered: [1], pseudoGradient, residual };
    const { residualAfter } = compress(options);
    assert.deepEqual(residualAfter.subarray(0, 20), residual.subarray(0, 20), codec);
    assert.notDeepEqual(residualAfter.subarray(20), residual.subarray(20), codec);
  }
});

test("a constant pseudo-gradient arrives in full: the mean of what was sent tends to it", () => {
  const random = new Random(11);
  const pseudoGradient = Float32Array.from({ length: SIZE }, () => random.unit() - 0.5);
  const rounds = 400;
  for (const codec of CODEC_NAMES) {
    let residual = new Float32Array(SIZE);
    const sent = new Float64Array(SIZE);
    for (let round = 0; round < rounds; round++) {
      const compressed = compress({ codec, fragments: FRAGMENTS, pseudoGradient, residual });
      residual = new Float32Array(compressed.residualAfter);
      const decoded = decodeUpdate(compressed.bytes, FRAGMENTS, { codec });
      assert.ok(decoded.ok);
      for (const [i, v] of decoded.value.values.entries()) sent[i] = (sent[i] ?? 0) + v;
    }
    for (const [i, v] of pseudoGradient.entries()) {
      const mean = (sent[i] ?? NaN) / rounds;
      assert.ok(Math.abs(mean - v) < 0.02, `${codec} element ${i}: sent ${mean} of ${v}`);
    }
  }
});
