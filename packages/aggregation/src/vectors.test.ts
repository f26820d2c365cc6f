// The implementation against vectors/aggregation, whose second reader is check.py (spec §2.14).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fromHex, toHex } from "@manyhands/base/bytes";
import { sha256 } from "@manyhands/base/hash";
import { applyAggregate, closeRound, type SharedState, sharedStateRoots } from "./close-round.ts";
import type { CodecName } from "./codec/codecs.ts";
import { decodeUpdate, encodeUpdate } from "./codec/update.ts";
import { compress } from "./error-feedback.ts";
import type { Fragment } from "./fragments.ts";
import type { OuterRule } from "./outer-step.ts";
import { f32Bytes } from "./roots.ts";

type Coded = {
  readonly codec: CodecName;
  readonly fragments: readonly Fragment[];
  readonly covered: readonly number[];
  readonly bytes: string;
};
type StateText = {
  readonly weights: string;
  readonly feedback: string;
  readonly momentum: string | null;
  readonly weightsRoot: string;
  readonly stateRoot: string;
};
type RoundText = {
  readonly round: number;
  readonly contributions: readonly { id: string; weight: number; bytes: string }[];
  readonly accepted: readonly string[];
  readonly refused: readonly { id: string; code: string }[];
  readonly weightTotal: number;
  readonly aggregate: string | null;
  readonly after: StateText;
};
type RunText = {
  readonly codec: CodecName;
  readonly outer: OuterRule;
  readonly limits: { readonly rmsMax: number };
  readonly fragments: readonly Fragment[];
  readonly start: StateText;
  readonly rounds: readonly RoundText[];
};

function load<T>(name: string): readonly T[] {
  const url = new URL(`../../../vectors/aggregation/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8"));
}

function floats(text: string): Float32Array {
  const bytes = fromHex(text);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(i * 4, true));
}

test("codec vectors: values give these bytes, and the bytes decode", () => {
  const cases = load<Coded & { values: string }>("codec");
  assert.equal(cases.length, 12);
  for (const [index, one] of cases.entries()) {
    const values = floats(one.values);
    assert.equal(toHex(encodeUpdate({ ...one, values })), one.bytes, `case ${index}`);
    const decoded = decodeUpdate(fromHex(one.bytes), one.fragments, { codec: one.codec });
    assert.ok(decoded.ok, `case ${index}`);
    assert.deepEqual(decoded.value.covered, one.covered, `case ${index}`);
  }
});

test("error-feedback vectors", () => {
  type Case = Coded & { pseudoGradient: string; residual: string; residualAfter: string };
  for (const one of load<Case>("error-feedback")) {
    const pseudoGradient = floats(one.pseudoGradient);
    const residual = floats(one.residual);
    const { bytes, residualAfter } = compress({ ...one, pseudoGradient, residual });
    assert.equal(toHex(bytes), one.bytes, one.codec);
    assert.equal(toHex(f32Bytes(residualAfter)), one.residualAfter, one.codec);
  }
});

test("round vectors: three rounds, their refusals, roots and aggregates; the worker agrees", () => {
  for (const run of load<RunText>("rounds")) {
    const { fragments, codec, outer, start } = run;
    let state: SharedState = {
      fragments,
      weights: floats(start.weights),
      feedback: floats(start.feedback),
      momentum: start.momentum === null ? undefined : floats(start.momentum),
    };
    assert.equal(toHex(sharedStateRoots(state, 0, sha256).stateRoot), start.stateRoot, codec);
    for (const { round, after, ...expected } of run.rounds) {
      const label = `${codec} round ${round}`;
      const contributions = expected.contributions.map((c) => ({ ...c, bytes: fromHex(c.bytes) }));
      const closed = closeRound({ ...state, ...run, contributions, round, hash: sha256 });
      assert.equal(closed.aggregate ? toHex(closed.aggregate) : null, expected.aggregate, label);
      assert.deepEqual(closed.accepted, expected.accepted, label);
      const refused = closed.refused.map(({ id, reject }) => ({ id, code: reject.code }));
      assert.deepEqual(refused, expected.refused, label);
      assert.equal(closed.weightTotal, expected.weightTotal, label);
      assert.equal(toHex(f32Bytes(closed.weights)), after.weights, label);
      assert.equal(toHex(f32Bytes(closed.feedback)), after.feedback, label);
      assert.equal(closed.momentum ? toHex(f32Bytes(closed.momentum)) : null, after.momentum);
      assert.equal(toHex(closed.stateRoot), after.stateRoot, label);
      if (closed.aggregate) {
        const applied = applyAggregate({ ...state, codec, outer, aggregate: closed.aggregate });
        assert.ok(applied.ok, label);
        assert.equal(toHex(f32Bytes(applied.value.weights)), after.weights, label);
      }
      state = closed;
    }
  }
});
