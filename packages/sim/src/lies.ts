// What a hostile worker can claim: each lie is an honest-looking update with one thing wrong.
// Not when it is told: liar.ts.

import { readLayout, scaleOffset, viewOf } from "@manyhands/aggregation/codec/layout";
import { encodeUpdate } from "@manyhands/aggregation/codec/update";
import { rootOfBytes } from "@manyhands/coordinator/blobs/blob-hasher";
import type { Update } from "@manyhands/protocol/events";
import type { RoundInfo } from "@manyhands/protocol/messages";
import { type FrozenRun, tokensPerStep } from "@manyhands/protocol/run-config";
import { ELEMENTS } from "./task.ts";
import type { Chance } from "./world.ts";

/** An update's claim and the bytes that are uploaded for it. */
export type Claim = { readonly update: Update; readonly bytes: Uint8Array };

export type Lie = {
  readonly name: string;
  readonly bend: (claim: Claim, context: LieContext) => Claim;
  /** Upload the bytes under this root first; default: the claimed one. */
  readonly uploads?: "nothing" | "other root" | "no session";
  readonly signature?: "wrong";
};
export type LieContext = { readonly run: FrozenRun; readonly chance: Chance };

/** A claim in which nothing is wrong but that nobody trained. */
export function plainClaim(run: FrozenRun, info: RoundInfo, chance: Chance): Claim {
  const { assignment } = info;
  const innerSteps = assignment?.innerSteps ?? 1;
  const values = Float32Array.from({ length: ELEMENTS }, () => (chance.unit() - 0.5) * 0.01);
  const bytes = encodeUpdate({ codec: run.recipe.codec, fragments: run.fragments, values });
  const update: Update = {
    round: info.round,
    baseRoot: info.baseRoot,
    data: {
      kind: "range",
      firstSample: assignment?.firstSample ?? 0,
      sampleCount: innerSteps * run.recipe.batchSequences,
    },
    tokens: innerSteps * tokensPerStep(run.recipe),
    innerSteps,
    codec: run.recipe.codec,
    numerics: "reference",
    fragments: null,
    updateRoot: rootOfBytes(bytes),
    updateBytes: bytes.length,
    groupCount: 1,
    traceRoot: null,
    carried: [],
    metrics: { trainLossMicronats: 1, innerStepMicros: 1, evaluation: null },
  };
  return { update, bytes };
}

function claims(change: (update: Update, context: LieContext) => Partial<Update>): Lie["bend"] {
  return ({ update, bytes }, context) => ({
    update: { ...update, ...change(update, context) },
    bytes,
  });
}

function holds(change: (bytes: Uint8Array, context: LieContext) => Uint8Array): Lie["bend"] {
  return ({ update, bytes }, context) => {
    const bent = change(bytes, context);
    const updateRoot = rootOfBytes(bent);
    return { update: { ...update, updateRoot, updateBytes: bent.length }, bytes: bent };
  };
}

/** Writes a scale of the first block: its place in every codec is the same. */
function withScale(bytes: Uint8Array, { run }: LieContext, scale: number): Uint8Array {
  const bent = bytes.slice();
  const layout = readLayout(bent, run.fragments);
  if (layout.ok) viewOf(bent).setFloat32(scaleOffset(layout.value, 0), scale, true);
  return bent;
}

export const LIES: readonly [Lie, ...Lie[]] = [
  { name: "nothing wrong", bend: (claim) => claim },
  { name: "not a number", bend: holds((bytes, to) => withScale(bytes, to, Number.NaN)) },
  { name: "infinite", bend: holds((bytes, to) => withScale(bytes, to, Number.POSITIVE_INFINITY)) },
  { name: "huge", bend: holds((bytes, to) => withScale(bytes, to, 1e30)) },
  { name: "garbage", bend: holds((bytes, { chance }) => chance.bytes(bytes.length)) },
  { name: "short", bend: holds((bytes) => bytes.slice(0, -1)) },
  { name: "long", bend: holds((bytes) => Uint8Array.from([...bytes, 0])) },
  {
    name: "lies about its size",
    bend: claims(({ updateBytes }) => ({ updateBytes: updateBytes + 1 })),
  },
  { name: "next round", bend: claims(({ round }) => ({ round: round + 1 })) },
  { name: "old round", bend: claims(({ round }) => ({ round: Math.max(0, round - 9) })) },
  { name: "other base", bend: claims(() => ({ baseRoot: "ab".repeat(32) })) },
  { name: "more tokens", bend: claims(({ tokens }) => ({ tokens: tokens * 2 })) },
  { name: "more steps", bend: claims(({ innerSteps }) => ({ innerSteps: innerSteps + 1 })) },
  { name: "private data", bend: claims(() => ({ data: { kind: "private" } })) },
  {
    name: "another codec",
    bend: claims(({ codec }) => ({ codec: codec === "q8" ? "sign" : "q8" })),
  },
  { name: "other numerics", bend: claims(() => ({ numerics: "ort-webgpu" })) },
  { name: "a part of it", bend: claims(() => ({ fragments: [0] })) },
  { name: "a group", bend: claims(() => ({ groupCount: 7 })) },
  {
    name: "unasked evaluation",
    bend: claims(({ metrics }) => ({
      metrics: { ...metrics, evaluation: { lossMicronats: 1, tokens: 1e9 } },
    })),
  },
  { name: "wrong signature", bend: (claim) => claim, signature: "wrong" },
  { name: "never uploaded", bend: (claim) => claim, uploads: "nothing" },
  { name: "other bytes", bend: (claim) => claim, uploads: "other root" },
  { name: "without a session", bend: (claim) => claim, uploads: "no session" },
];
