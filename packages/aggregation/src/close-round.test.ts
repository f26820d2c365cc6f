// A round's end as a whole: all peers reach the same bits (spec §2.10, §2.12, §2.13).
import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "@manyhands/base/bytes";
import { sha256 } from "@manyhands/base/hash";
import { Random } from "@manyhands/base/random";
import {
  applyAggregate,
  applyAggregateInto,
  type ClosedRound,
  closeRound,
  closeRoundInto,
  type EncodedContribution,
  initialState,
  type RoundRules,
  type SharedState,
  sharedStateRoots,
} from "./close-round.ts";
import { CODEC_NAMES, type CodecName } from "./codec/codecs.ts";
import { decodeUpdate, encodeUpdate } from "./codec/update.ts";
import { compress } from "./error-feedback.ts";
import type { Fragment } from "./fragments.ts";
import { weightedMean } from "./mean.ts";
import { type OuterRule, outerStepInto, PLAIN_OUTER_RULE } from "./outer-step.ts";
import { weightsRoot } from "./roots.ts";
import { RMS_MAX_MAX, screenUpdate } from "./screen.ts";

const FRAGMENTS: readonly Fragment[] = [
  { name: "a", shape: [6, 5], dtype: "f32" },
  { name: "b", shape: [7], dtype: "f32" },
];
const SIZE = 37;
const OUTER_RULES: readonly OuterRule[] = [
  PLAIN_OUTER_RULE,
  { learningRate: 0.7, momentum: 0.5, nesterov: false },
  { learningRate: 0.7, momentum: 0.9, nesterov: true },
];

function noise(seed: number, size = SIZE): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: size }, () => random.unit() - 0.5);
}

function rules(codec: CodecName, outer: OuterRule = PLAIN_OUTER_RULE): RoundRules {
  return { codec, outer, limits: { rmsMax: 4 } };
}

function contribution(id: string, codec: CodecName, seed: number): EncodedContribution {
  const bytes = encodeUpdate({ codec, fragments: FRAGMENTS, values: noise(seed) });
  return { id, weight: 100 + seed, bytes };
}

function close(
  state: SharedState,
  rule: RoundRules,
  contributions: readonly EncodedContribution[],
): ClosedRound {
  return closeRound({ ...state, ...rule, contributions, round: 1, hash: sha256 });
}

function decodedValues(bytes: Uint8Array): Float32Array {
  const decoded = decodeUpdate(bytes, FRAGMENTS);
  assert.ok(decoded.ok);
  return decoded.value.values;
}

test("closing a round is mean, public feedback, codec and outer step, in this order", () => {
  for (const codec of CODEC_NAMES) {
    for (const outer of OUTER_RULES) {
      const state = { ...initialState(FRAGMENTS, noise(1), outer), feedback: noise(2) };
      const contributions = [contribution("x", codec, 3), contribution("y", codec, 4)];
      const closed = close(state, rules(codec, outer), contributions);
      const mean = weightedMean(
        FRAGMENTS,
        contributions.map((c) => ({ ...c, covered: [0, 1], values: decodedValues(c.bytes) })),
      );
      const down = compress({
        codec,
        fragments: FRAGMENTS,
        pseudoGradient: mean,
        residual: state.feedback,
      });
      const label = `${codec} μ = ${outer.momentum}`;
      assert.deepEqual(closed.aggregate, down.bytes, label);
      assert.deepEqual(closed.feedback, down.residualAfter, label);
      const weights = state.weights.slice();
      const momentum = state.momentum?.slice();
      const aggregate = decodedValues(down.bytes);
      outerStepInto({ fragments: FRAGMENTS, weights, momentum, aggregate, rule: outer });
      assert.deepEqual(closed.weights, weights, label);
      assert.deepEqual(closed.momentum, momentum, label);
      assert.deepEqual(closed.accepted, ["x", "y"]);
      assert.equal(closed.weightTotal, 207);
    }
  }
});

test("a worker that applies the aggregates has the coordinator's weights after every round", () => {
  for (const codec of CODEC_NAMES) {
    for (const outer of OUTER_RULES) {
      let state: SharedState = initialState(FRAGMENTS, noise(1), outer);
      let worker: Pick<SharedState, "weights" | "momentum"> = state;
      for (let round = 1; round <= 4; round++) {
        const contributions = [contribution("x", codec, round), contribution("y", codec, 9)];
        const options = { ...state, ...rules(codec, outer), contributions, round, hash: sha256 };
        const closed = closeRound(options);
        assert.ok(closed.aggregate);
        const { aggregate } = closed;
        const applied = applyAggregate({
          ...worker,
          fragments: FRAGMENTS,
          codec,
          outer,
          aggregate,
        });
        assert.ok(applied.ok);
        worker = applied.value;
        const root = toHex(weightsRoot(FRAGMENTS, worker.weights, sha256));
        assert.equal(root, toHex(closed.weightsRoot), `${codec} round ${round}`);
        state = closed;
      }
    }
  }
});

test("the outcome does not depend on the order of arrival, and copies equal in place", () => {
  const state = initialState(FRAGMENTS, noise(1), PLAIN_OUTER_RULE);
  const list = ["q", "b", "z", "a"].map((id, seed) => contribution(id, "ternary", seed));
  const before = toHex(sharedStateRoots(state, 0, sha256).stateRoot);
  const first = close(state, rules("ternary"), list);
  const second = close(state, rules("ternary"), list.toReversed());
  assert.deepEqual(second, first);
  assert.deepEqual(first.accepted, ["a", "b", "q", "z"]);
  assert.equal(toHex(sharedStateRoots(state, 0, sha256).stateRoot), before, "nothing changed");
  const options = { ...state, ...rules("ternary"), contributions: list, round: 1, hash: sha256 };
  const outcome = closeRoundInto(options);
  assert.deepEqual(outcome.stateRoot, first.stateRoot);
  assert.deepEqual(state.weights, first.weights);
  assert.deepEqual(sharedStateRoots(state, 1, sha256).stateRoot, first.stateRoot);
});

test("without contributions the weights stay, and only the round moves on", () => {
  const state = { ...initialState(FRAGMENTS, noise(1), PLAIN_OUTER_RULE), feedback: noise(2) };
  const closed = close(state, rules("sign"), []);
  assert.equal(closed.aggregate, undefined);
  assert.deepEqual(closed.weights, state.weights);
  assert.deepEqual(closed.feedback, state.feedback);
  assert.notDeepEqual(closed.stateRoot, sharedStateRoots(state, 0, sha256).stateRoot);
});

test("a bad contribution is refused with its code and changes nothing for the others", () => {
  const state = initialState(FRAGMENTS, noise(1), PLAIN_OUTER_RULE);
  const good = [contribution("b", "q8", 3), contribution("d", "q8", 4)];
  const loud = noise(5).map((v) => v * 100);
  const bad: readonly EncodedContribution[] = [
    { id: "a", weight: 1, bytes: new Uint8Array(3) },
    contribution("c", "sign", 6),
    {
      id: "e",
      weight: 1,
      bytes: encodeUpdate({ codec: "q8", fragments: FRAGMENTS, values: loud }),
    },
  ];
  const closed = close(state, rules("q8"), [...bad, ...good]);
  const codes = closed.refused.map(({ id, reject }) => [id, reject.code]);
  assert.deepEqual(codes, [
    ["a", "codec/truncated"],
    ["c", "codec/wrong-codec"],
    ["e", "update/norm"],
  ]);
  assert.deepEqual(closed.stateRoot, close(state, rules("q8"), good).stateRoot);
  assert.equal(closed.aggregate && decodedValues(closed.aggregate).length, SIZE);
  assert.equal(close(state, rules("q8"), bad).aggregate, undefined);
});

test("fragments that nobody covers keep weights, feedback and momentum", () => {
  const outer: OuterRule = { learningRate: 1, momentum: 0.5, nesterov: true };
  const state = {
    ...initialState(FRAGMENTS, noise(1), outer),
    feedback: noise(2),
    momentum: noise(3),
  };
  const values = noise(4);
  const bytes = encodeUpdate({ codec: "sign", fragments: FRAGMENTS, covered: [1], values });
  const closed = close(state, rules("sign", outer), [{ id: "a", weight: 1, bytes }]);
  for (const name of ["weights", "feedback", "momentum"] as const) {
    assert.deepEqual(closed[name]?.subarray(0, 30), state[name].subarray(0, 30), name);
    assert.notDeepEqual(closed[name]?.subarray(30), state[name].subarray(30), name);
  }
});

test("a refused aggregate changes nothing", () => {
  const weights = noise(1);
  const applied = applyAggregateInto({
    fragments: FRAGMENTS,
    weights,
    codec: "sign",
    outer: PLAIN_OUTER_RULE,
    aggregate: contribution("a", "q8", 1).bytes,
  });
  assert.ok(!applied.ok);
  assert.equal(applied.error.code, "codec/wrong-codec");
  assert.deepEqual(weights, noise(1));
});

test("the outer step by hand: plain, heavy ball, Nesterov", () => {
  const fragments: readonly Fragment[] = [{ name: "w", shape: [1], dtype: "f32" }];
  const step = (rule: OuterRule, v: number | undefined) => {
    const weights = Float32Array.of(1);
    const momentum = v === undefined ? undefined : Float32Array.of(v);
    outerStepInto({ fragments, weights, momentum, aggregate: Float32Array.of(0.5), rule });
    return [weights[0], momentum?.[0]];
  };
  const rule = { learningRate: 0.25, momentum: 0.5, nesterov: false };
  assert.deepEqual(step({ ...rule, momentum: 0 }, undefined), [0.875, undefined]);
  assert.deepEqual(step(rule, 1), [0.75, 1]);
  assert.deepEqual(step({ ...rule, nesterov: true }, 1), [0.75, 1]);
  assert.deepEqual(step({ ...rule, nesterov: true }, 2), [1 - 0.25 * 1.25, 1.5]);
  // fround(0.1 · fround(1/3)) and the difference round once each.
  const third = Float32Array.of(1 / 3);
  const weights = Float32Array.of(1 / 7);
  const expected = Math.fround((weights[0] ?? 0) - Math.fround(0.1 * (third[0] ?? 0)));
  const plain = { learningRate: 0.1, momentum: 0, nesterov: false };
  outerStepInto({ fragments, weights, aggregate: third, rule: plain });
  assert.equal(weights[0], expected);
  assert.throws(() => step(rule, undefined), /momentum buffer/);
  assert.throws(() => step({ ...rule, momentum: 0 }, 1), /momentum buffer/);
  assert.throws(() => step({ ...rule, learningRate: 0 }, 1), /learning rate/);
  assert.throws(() => step({ ...rule, momentum: 1 }, 1), /momentum in/);
});

test("screening: the limit itself passes, one step past it does not, NaN and infinities never", () => {
  const screen = (values: Float32Array, rmsMax = 2) =>
    screenUpdate({ fragments: FRAGMENTS, covered: [0, 1], values, limits: { rmsMax } });
  const atLimit = screen(new Float32Array(SIZE).fill(2));
  assert.ok(atLimit.ok);
  assert.equal(atLimit.value.rms, 2);
  const past = new Float32Array(SIZE).fill(-2);
  past[36] = Math.fround(2 + 2 ** -22);
  const refused = screen(past);
  assert.ok(!refused.ok);
  assert.equal(refused.error.code, "update/norm");
  assert.equal(refused.error.fragment, 1);
  for (const value of [NaN, Infinity, -Infinity]) {
    const values = new Float32Array(SIZE);
    values[3] = value;
    const found = screen(values);
    assert.deepEqual(found, { ok: false, error: { code: "update/not-finite", fragment: 0 } });
  }
  assert.equal(screen(new Float32Array(SIZE).fill(3.4e38)).ok, false);
  assert.ok(screen(new Float32Array(SIZE), RMS_MAX_MAX).ok);
  for (const rmsMax of [RMS_MAX_MAX + 1, 0, -1, NaN]) {
    assert.throws(() => screen(new Float32Array(SIZE), rmsMax), /rmsMax/, String(rmsMax));
  }
});
