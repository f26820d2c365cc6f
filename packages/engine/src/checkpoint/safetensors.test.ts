// Each rule of docs/spec/01-checkpoint.md §1.2, broken on its own: the reader names it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, utf8 } from "@manyhands/base/bytes";
import { repeatedKey } from "./repeated-key.ts";
import {
  HEADER_BYTES_MAX,
  readSafetensors,
  SAFETENSORS_CODES,
  type SafetensorsCode,
  writeSafetensors,
} from "./safetensors.ts";

/** A file from a header's text, padded to the alignment, and so many data bytes. */
function file(header: string, dataBytes: number): Uint8Array {
  const text = utf8(header);
  const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
  padded.set(text);
  return withLength(padded.length, padded, new Uint8Array(dataBytes));
}

function withLength(claimed: number | bigint, ...parts: Uint8Array[]): Uint8Array {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(claimed), true);
  return concatBytes(length, ...parts);
}

function entry(fields: { dtype?: unknown; shape?: unknown; offsets?: unknown }): string {
  const { dtype = "F32", shape = [2], offsets = [0, 8] } = fields;
  return JSON.stringify({ dtype, shape, data_offsets: offsets });
}

const A = entry({});
const HOSTILE: readonly [SafetensorsCode, string, Uint8Array][] = [
  ["safetensors/truncated", "nothing", new Uint8Array(0)],
  ["safetensors/truncated", "half a length", new Uint8Array(7)],
  ["safetensors/truncated", "a header that ends too soon", withLength(64, utf8("{}"))],
  ["safetensors/truncated", "data that end too soon", file(`{"a":${A}}`, 7)],
  ["safetensors/header-length", "a huge header", withLength(HEADER_BYTES_MAX + 1, utf8("{}"))],
  ["safetensors/header-length", "the hugest header", withLength(2n ** 64n - 1n, utf8("{}"))],
  ["safetensors/header-length", "no header", withLength(0, utf8("{}"))],
  ["safetensors/misaligned", "data at byte 10", withLength(2, utf8("{}"))],
  ["safetensors/header-text", "no JSON", file("{nonsense", 0)],
  ["safetensors/header-text", "a list", file("[1, 2, 3]", 0)],
  ["safetensors/header-text", "spaces before the brace", file("  {}", 0)],
  ["safetensors/header-text", "a byte order mark", file("\ufeff{}", 0)],
  ["safetensors/header-text", "two values", file("{} {}", 0)],
  [
    "safetensors/header-text",
    "no UTF-8",
    withLength(8, Uint8Array.of(123, 34, 255, 34, 58, 49, 125, 32)),
  ],
  ["safetensors/repeated-key", "a name twice", file(`{"a":${A},"a":${A}}`, 8)],
  ["safetensors/repeated-key", "a name twice, escaped", file(`{"a":${A},"\\u0061":${A}}`, 8)],
  [
    "safetensors/repeated-key",
    "a field twice",
    file(`{"a":${A.replace("{", '{"dtype":"F32",')}}`, 8),
  ],
  ["safetensors/metadata", "metadata that is no object", file('{"__metadata__":[]}', 0)],
  ["safetensors/metadata", "a number as metadata", file('{"__metadata__":{"a":1}}', 0)],
  ["safetensors/entry", "a number for a tensor", file('{"a":1}', 0)],
  ["safetensors/entry", "a list for a tensor", file('{"a":[]}', 0)],
  ["safetensors/entry", "no shape", file('{"a":{"dtype":"F32","data_offsets":[0,8]}}', 8)],
  ["safetensors/entry", "one field more", file(`{"a":${A.replace("}", ',"b":1}')}}`, 8)],
  ["safetensors/dtype", "bfloat16", file(`{"a":${entry({ dtype: "BF16" })}}`, 8)],
  ["safetensors/dtype", "a number as dtype", file(`{"a":${entry({ dtype: 5 })}}`, 8)],
  ["safetensors/shape", "a negative size", file(`{"a":${entry({ shape: [-2] })}}`, 8)],
  [
    "safetensors/shape",
    "negative zero",
    file('{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}', 0),
  ],
  ["safetensors/shape", "a fraction", file(`{"a":${entry({ shape: [1.5] })}}`, 8)],
  ["safetensors/shape", "a text", file(`{"a":${entry({ shape: "2" })}}`, 8)],
  [
    "safetensors/shape",
    "a product past 2⁵³",
    file(`{"a":${entry({ shape: [2 ** 30, 2 ** 30] })}}`, 8),
  ],
  [
    "safetensors/shape",
    "past 2⁵³, then zero",
    file(`{"a":${entry({ shape: [2 ** 52, 2 ** 52, 0], offsets: [0, 0] })}}`, 0),
  ],
  ["safetensors/offsets", "a negative offset", file(`{"a":${entry({ offsets: [-8, 0] })}}`, 8)],
  ["safetensors/offsets", "three offsets", file(`{"a":${entry({ offsets: [0, 8, 8] })}}`, 8)],
  [
    "safetensors/offsets",
    "an infinite offset",
    file(`{"a":${entry({}).replace("8]", "1e400]")}}`, 8),
  ],
  ["safetensors/size", "an end before the begin", file(`{"a":${entry({ offsets: [8, 0] })}}`, 8)],
  ["safetensors/size", "more bytes than values", file(`{"a":${entry({ offsets: [0, 12] })}}`, 12)],
  ["safetensors/hole", "nobody's bytes first", file(`{"a":${entry({ offsets: [8, 16] })}}`, 16)],
  [
    "safetensors/hole",
    "nobody's bytes between",
    file(`{"a":${A},"b":${entry({ offsets: [12, 20] })}}`, 20),
  ],
  [
    "safetensors/overlap",
    "shared bytes",
    file(`{"a":${A},"b":${entry({ offsets: [4, 12] })}}`, 12),
  ],
  ["safetensors/overlap", "the same bytes", file(`{"a":${A},"b":${A}}`, 8)],
  ["safetensors/trailing", "bytes after the last tensor", file(`{"a":${A}}`, 9)],
  ["safetensors/trailing", "bytes and no tensor", file("{}", 8)],
];

for (const [code, what, bytes] of HOSTILE) {
  test(`${what}: ${code}`, () => {
    const read = readSafetensors(bytes);
    assert.equal(read.ok, false);
    assert.equal(read.error.code, code);
    assert.ok(read.error.message.length < 300, "a bounded sentence");
  });
}

test("every code has its hostile file", () => {
  const triggered = new Set(HOSTILE.map(([code]) => code));
  assert.deepEqual(
    [...SAFETENSORS_CODES].filter((code) => !triggered.has(code)),
    [],
  );
});

test("a long hostile header neither throws nor takes long", () => {
  const name = "a".repeat(5_000_000);
  const read = readSafetensors(file(`{"${name}":1}`, 0));
  assert.equal(read.ok, false);
  assert.ok(read.error.message.length < 300);
  const deep = `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  assert.equal(readSafetensors(file(deep, 0)).ok, false);
});

test("names that objects inherit are names like others", () => {
  const tensors = ["__proto__", "constructor", "toString"].map((name, i) => {
    return { name, shape: [1], values: Float32Array.of(i) };
  });
  const read = readSafetensors(writeSafetensors(tensors));
  assert.ok(read.ok);
  assert.deepEqual(
    read.value.tensors.map((tensor) => tensor.name),
    tensors.map((each) => each.name),
  );
});

test("the smallest file has no tensors", () => {
  const bytes = writeSafetensors([]);
  assert.deepEqual(bytes, withLength(8, utf8("{}      ")));
  assert.deepEqual(readSafetensors(bytes), { ok: true, value: { metadata: {}, tensors: [] } });
});

test("a file is what the format says, byte by byte", () => {
  const values = Float32Array.of(1, -2);
  const bytes = writeSafetensors([{ name: "w", shape: [2, 1], values }], { format: "pt" });
  const header =
    '{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}';
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
  const data = Uint8Array.of(0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0);
  assert.deepEqual(bytes, withLength(padded.length, utf8(padded), data));
});

test("a writer's mistake is a bug, not a file", () => {
  const one = { name: "a", shape: [1], values: Float32Array.of(1) };
  assert.throws(() => writeSafetensors([one, one]), /used twice/);
  assert.throws(() => writeSafetensors([{ ...one, name: "__metadata__" }]), /reserved/);
  assert.throws(() => writeSafetensors([{ ...one, shape: [2] }]), /differ in size/);
});

test("a repeated key is found in any object, and a value is no key", () => {
  const cases: readonly [string, string | undefined][] = [
    ['{"a":"a","b":"a"}', undefined],
    ['{"a":{"x":1},"b":{"x":1}}', undefined],
    ['{"a":1,"b":{"c":[{"d":1,"d":2}]}}', "d"],
    ['{"a\\"":1,"a\\u0022" \t\n:2}', 'a"'],
    ['{"x":"{\\"y\\":1,\\"y\\":2}"}', undefined],
    ['{"":1,"":2}', ""],
  ];
  for (const [json, expected] of cases) assert.equal(repeatedKey(json), expected, json);
});
