// Writes vectors/aggregation/*.json from fixed inputs: `node vectors/aggregation/generate.ts`.
// Not a test: aggregation's vectors.test.ts and check.py hold implementations to these files.
import { writeFileSync } from "node:fs";
import {
  closeRound,
  initialState,
  type SharedState,
  sharedStateRoots,
} from "@manyhands/aggregation/close-round";
import { CODEC_NAMES, type CodecName } from "@manyhands/aggregation/codec/codecs";
import { encodeUpdate } from "@manyhands/aggregation/codec/update";
import { compress } from "@manyhands/aggregation/error-feedback";
import { allFragments, elementCount, type Fragment } from "@manyhands/aggregation/fragments";
import type { OuterRule } from "@manyhands/aggregation/outer-step";
import { f32Bytes } from "@manyhands/aggregation/roots";
import { toHex } from "@manyhands/base/bytes";
import { sha256 } from "@manyhands/base/hash";
import { Random } from "@manyhands/base/random";

const SMALL: readonly Fragment[] = [
  { name: "model.embed_tokens.weight", shape: [3, 5], dtype: "f32" },
  { name: "model.norm.weight", shape: [7], dtype: "f32" },
  { name: "temperature", shape: [], dtype: "f32" },
];
/** One element more than a block, so that a second, short block follows. */
const WIDE: readonly Fragment[] = [
  { name: "wide", shape: [4097], dtype: "f32" },
  { name: "tail", shape: [2, 2], dtype: "f32" },
];

/** Sums of four uniform draws: near enough to a pseudo-gradient, and made of integers. */
function values(seed: number, size: number, magnitude: number): Float32Array {
  const random = new Random(seed);
  const draw = () => random.unit() + random.unit() + random.unit() + random.unit() - 2;
  return Float32Array.from({ length: size }, () => draw() * magnitude);
}

function hex(x: Float32Array): string {
  return toHex(f32Bytes(x));
}

function codecCases(): object[] {
  const special = Float32Array.of(
    ...[0, -0, 1, -1, 2 ** -149, -(2 ** -126), 0.5, -0.5, 127, -127, 63.5, 1e-8, -3, 3, 2],
    ...[0, -0, 2 ** -149, 0, 0, 0, 0],
    -1,
  );
  const inputs = [
    { fragments: SMALL, covered: [0, 1, 2], x: values(1, 23, 0.01) },
    { fragments: SMALL, covered: [1], x: values(2, 23, 1000) },
    { fragments: SMALL, covered: [0, 1, 2], x: special },
    { fragments: WIDE, covered: [0, 1], x: values(3, 4101, 0.02) },
  ];
  return CODEC_NAMES.flatMap((codec) =>
    inputs.map(({ fragments, covered, x }) => ({
      codec,
      fragments,
      covered,
      values: hex(x),
      bytes: toHex(encodeUpdate({ codec, fragments, covered, values: x })),
    })),
  );
}

function compressCases(): object[] {
  return CODEC_NAMES.map((codec) => {
    const pseudoGradient = values(4, 23, 0.01);
    const residual = values(5, 23, 0.004);
    const { bytes, residualAfter } = compress({
      codec,
      fragments: SMALL,
      pseudoGradient,
      residual,
    });
    return {
      codec,
      fragments: SMALL,
      covered: allFragments(SMALL),
      pseudoGradient: hex(pseudoGradient),
      residual: hex(residual),
      bytes: toHex(bytes),
      residualAfter: hex(residualAfter),
    };
  });
}

const OUTER: { readonly [codec in CodecName]: OuterRule } = {
  q8: { learningRate: 0.7, momentum: 0.9, nesterov: true },
  ternary: { learningRate: 1, momentum: 0, nesterov: false },
  sign: { learningRate: 0.9, momentum: 0.5, nesterov: false },
};

function stateHex(state: SharedState, round: number): object {
  const roots = sharedStateRoots(state, round, sha256);
  return {
    weights: hex(state.weights),
    feedback: hex(state.feedback),
    momentum: state.momentum ? hex(state.momentum) : null,
    weightsRoot: toHex(roots.weightsRoot),
    feedbackRoot: toHex(roots.feedbackRoot),
    momentumRoot: toHex(roots.momentumRoot),
    stateRoot: toHex(roots.stateRoot),
  };
}

/** Three rounds in a row: all fragments, two devices with different coverage, nobody. */
function runCase(codec: CodecName): object {
  const outer = OUTER[codec];
  const limits = { rmsMax: 1 };
  let state = initialState(SMALL, values(6, elementCount(SMALL), 0.5), outer);
  const start = stateHex(state, 0);
  const plans = [
    [
      ["worker-b", 4096, [0, 1, 2], 7, 0.01],
      ["worker-a", 1000, [0, 1, 2], 8, 0.02],
      ["worker-c", 77, [0, 1, 2], 9, 3000],
    ],
    [
      ["worker-a", 333, [1, 2], 10, 0.01],
      ["worker-b", 1, [2], 11, 0.01],
    ],
    [],
  ] as const;
  const rounds = plans.map((plan, index) => {
    const round = index + 1;
    const contributions = plan.map(([id, weight, covered, seed, magnitude]) => {
      const x = values(seed, elementCount(SMALL), magnitude);
      const bytes = encodeUpdate({ codec, fragments: SMALL, covered, values: x });
      return { id, weight, bytes };
    });
    const options = { codec, outer, limits, contributions, round, hash: sha256 };
    const closed = closeRound({ ...state, ...options });
    state = closed;
    return {
      round,
      contributions: contributions.map((c) => ({ ...c, bytes: toHex(c.bytes) })),
      accepted: closed.accepted,
      refused: closed.refused.map(({ id, reject }) => ({ id, code: reject.code })),
      weightTotal: closed.weightTotal,
      aggregate: closed.aggregate ? toHex(closed.aggregate) : null,
      after: stateHex(closed, round),
    };
  });
  return { codec, outer, limits, fragments: SMALL, start, rounds };
}

function write(name: string, cases: readonly object[]): void {
  const lines = cases.map((one) => JSON.stringify(one));
  const text = `[\n${lines.join(",\n")}\n]\n`;
  writeFileSync(new URL(`${name}.json`, import.meta.url), text);
}

write("codec", codecCases());
write("error-feedback", compressCases());
write("rounds", CODEC_NAMES.map(runCase));
