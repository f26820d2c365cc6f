// Which lists of fragments are a state (spec §2.1), and their roots (spec §2.2).
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { toHex } from "@manyhands/base/bytes";
import { merkleClimb, merklePath, merkleRoot, sha256 } from "@manyhands/base/hash";
import {
  checkFragments,
  coveredRanges,
  ELEMENTS_MAX,
  FRAGMENT_NAME_CHARS_MAX,
  FRAGMENTS_MAX,
  type Fragment,
  fragmentOffsets,
  RANK_MAX,
} from "./fragments.ts";
import {
  f32Bytes,
  feedbackRoot,
  fragmentRoots,
  momentumRoot,
  NO_ROOT,
  stateRoot,
  weightsRoot,
} from "./roots.ts";

function fragment(name: string, ...shape: number[]): Fragment {
  return { name, shape, dtype: "f32" };
}

function code(fragments: readonly Fragment[]): string {
  const checked = checkFragments(fragments);
  return checked.ok ? "ok" : checked.error.code;
}

const platformSha256 = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash("sha256").update(bytes).digest());

const STATE = [fragment("a", 2, 3), fragment("b"), fragment("c", 5)];
const VALUES = Float32Array.from({ length: 12 }, (_, i) => i / 4 - 1);

test("a list of fragments is refused with the rule that it breaks, at the limit and one past it", () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => fragment(`f${i}`, 1));
  const ones = (rank: number) => fragment("r", ...Array.from({ length: rank }, () => 1));
  const cases: readonly (readonly [string, readonly Fragment[]])[] = [
    ["ok", STATE],
    ["fragment/count", []],
    ["ok", many(FRAGMENTS_MAX)],
    ["fragment/count", many(FRAGMENTS_MAX + 1)],
    ["fragment/name", [fragment("", 1)]],
    ["ok", [fragment("n".repeat(FRAGMENT_NAME_CHARS_MAX), 1)]],
    ["fragment/name", [fragment("n".repeat(FRAGMENT_NAME_CHARS_MAX + 1), 1)]],
    ["fragment/duplicate", [fragment("a", 1), fragment("a", 2)]],
    ["fragment/shape", [fragment("a", 0)]],
    ["fragment/shape", [fragment("a", 1.5)]],
    ["fragment/shape", [fragment("a", -1)]],
    ["ok", [ones(RANK_MAX)]],
    ["fragment/shape", [ones(RANK_MAX + 1)]],
    ["ok", [fragment("a", ELEMENTS_MAX)]],
    ["fragment/elements", [fragment("a", ELEMENTS_MAX), fragment("b", 1)]],
    ["fragment/dtype", [{ name: "a", shape: [1], dtype: "f16" as "f32" }]],
  ];
  for (const [expected, fragments] of cases) {
    const label = `${fragments.length} × ${JSON.stringify(fragments[0])?.slice(0, 60)}`;
    assert.equal(code(fragments), expected, label);
  }
});

test("fragments stand back to back, a scalar takes one element", () => {
  assert.deepEqual(fragmentOffsets(STATE), [0, 6, 7, 12]);
  assert.deepEqual(coveredRanges(STATE, [0, 2]), [
    { from: 0, to: 6 },
    { from: 7, to: 12 },
  ]);
});

test("bytes of values are little-endian f32", () => {
  assert.equal(toHex(f32Bytes(Float32Array.of(1, -0, 2 ** -149))), "0000803f0000008001000000");
});

test("roots depend on every input and on nothing else", () => {
  const root = toHex(weightsRoot(STATE, VALUES, sha256));
  assert.equal(toHex(weightsRoot(STATE, VALUES.slice(), platformSha256)), root);
  const changed = VALUES.slice();
  changed[11] = 7;
  const others = [
    weightsRoot(STATE, changed, sha256),
    weightsRoot([fragment("a", 3, 2), ...STATE.slice(1)], VALUES, sha256),
    weightsRoot([fragment("z", 2, 3), ...STATE.slice(1)], VALUES, sha256),
    weightsRoot([fragment("a", 6, 1), ...STATE.slice(1)], VALUES, sha256),
    weightsRoot([fragment("a", 2, 3), fragment("b", 6)], VALUES, sha256),
    feedbackRoot(STATE, VALUES, sha256),
    momentumRoot(STATE, VALUES, sha256),
  ].map(toHex);
  assert.equal(new Set([root, ...others]).size, others.length + 1);
});

test("one fragment is provable from its leaf and path", () => {
  const leaves = fragmentRoots(STATE, VALUES, sha256);
  for (const [index, leaf] of leaves.entries()) {
    const climbed = merkleClimb(leaf, merklePath(leaves, index));
    assert.equal(toHex(climbed), toHex(merkleRoot(leaves)), `fragment ${index}`);
  }
});

test("the state root binds the round and every part; no momentum is 32 zero bytes", () => {
  const parts = {
    weightsRoot: weightsRoot(STATE, VALUES, sha256),
    feedbackRoot: feedbackRoot(STATE, VALUES, sha256),
    round: 3,
  };
  const root = toHex(stateRoot(parts));
  assert.equal(toHex(stateRoot({ ...parts, momentumRoot: NO_ROOT })), root);
  assert.notEqual(toHex(stateRoot({ ...parts, round: 4 })), root);
  assert.notEqual(toHex(stateRoot({ ...parts, weightsRoot: parts.feedbackRoot })), root);
  assert.notEqual(toHex(stateRoot({ ...parts, feedbackRoot: parts.weightsRoot })), root);
  assert.notEqual(toHex(stateRoot({ ...parts, momentumRoot: parts.weightsRoot })), root);
  assert.throws(() => stateRoot({ ...parts, weightsRoot: new Uint8Array(31) }), /32 bytes/);
});
