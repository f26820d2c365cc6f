// The GGUF container, version 3, little-endian: magic, metadata, a line per tensor, then the
// tensors' bytes. It deliberately knows no model: any names, shapes and types of tensors.
// @source ggml's docs/gguf.md
import { assert } from "@manyhands/base/assert";
import { concatBytes, utf8 } from "@manyhands/base/bytes";
import { type BlockType, bytesOf, TYPE_IDS } from "./blocks.ts";

/** A value with its type: the same number may stand there as an integer or as a float. */
export type GgufValue =
  | { readonly type: "u32" | "f32"; readonly value: number }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "strings"; readonly value: readonly string[] }
  | { readonly type: "f32s" | "i32s"; readonly value: readonly number[] }
  | { readonly type: "bools"; readonly value: readonly boolean[] };

export type GgufMetadata = readonly (readonly [key: string, value: GgufValue])[];

export type GgufTensor = {
  readonly name: string;
  /** Row-major, as everywhere here; the file has the fastest axis first. */
  readonly shape: readonly number[];
  readonly type: BlockType;
};

export type GgufHead = {
  /** The file's first bytes, padded to where the first tensor starts. */
  readonly bytes: Uint8Array;
  /** The file's size with all tensors. */
  readonly fileBytes: number;
};

const MAGIC = utf8("GGUF");
const VERSION = 3;
const ALIGNMENT = 32;
/** llama.cpp refuses longer names of tensors. */
const NAME_BYTES_MAX = 63;

const VALUE_IDS = { u32: 4, f32: 6, bool: 7, string: 8 } as const;
const ARRAY_ID = 9;
const ELEMENT_IDS = { strings: 8, f32s: 6, i32s: 5, bools: 7 } as const;

/** Bytes after a tensor, so that the next one starts where it must. */
export function paddingAfter(bytes: number): number {
  return (ALIGNMENT - (bytes % ALIGNMENT)) % ALIGNMENT;
}

/**
 * Everything before the first tensor's bytes. Tensors follow in the order given, each followed by
 * paddingAfter(its bytes) zeros.
 *
 * @throws AssertionError on a name that is used twice or too long, or a shape that fits no blocks
 */
export function ggufHead(metadata: GgufMetadata, tensors: readonly GgufTensor[]): GgufHead {
  assert(new Set(metadata.map(([key]) => key)).size === metadata.length, "a key is used twice");
  assert(new Set(tensors.map(({ name }) => name)).size === tensors.length, "names differ");
  const parts = [MAGIC, integer(VERSION, 4), integer(tensors.length, 8)];
  parts.push(integer(metadata.length, 8));
  for (const [key, value] of metadata) parts.push(text(key), ...valueParts(value));
  let offset = 0;
  for (const { name, shape, type } of tensors) {
    assert(utf8(name).length <= NAME_BYTES_MAX, `the name ${name} is too long for ggml`);
    parts.push(text(name), integer(shape.length, 4));
    for (const extent of shape.toReversed()) parts.push(integer(extent, 8));
    parts.push(integer(TYPE_IDS[type], 4), integer(offset, 8));
    const bytes = bytesOf(type, shape);
    offset += bytes + paddingAfter(bytes);
  }
  const head = concatBytes(...parts);
  const bytes = concatBytes(head, new Uint8Array(paddingAfter(head.length)));
  return { bytes, fileBytes: bytes.length + offset };
}

function valueParts(entry: GgufValue): Uint8Array[] {
  switch (entry.type) {
    case "u32":
      return [integer(VALUE_IDS.u32, 4), integer(entry.value, 4)];
    case "f32":
      return [integer(VALUE_IDS.f32, 4), float(entry.value)];
    case "bool":
      return [integer(VALUE_IDS.bool, 4), Uint8Array.of(Number(entry.value))];
    case "string":
      return [integer(VALUE_IDS.string, 4), text(entry.value)];
    case "strings":
      return arrayParts(entry.type, entry.value.map(text));
    case "bools":
      return arrayParts(entry.type, [Uint8Array.from(entry.value, Number)], entry.value.length);
    case "f32s":
      return arrayParts(entry.type, entry.value.map(float));
    case "i32s":
      return arrayParts(
        entry.type,
        entry.value.map((value) => integer(value >>> 0, 4)),
      );
  }
}

function arrayParts(
  type: keyof typeof ELEMENT_IDS,
  elements: readonly Uint8Array[],
  count = elements.length,
): Uint8Array[] {
  const head = [integer(ARRAY_ID, 4), integer(ELEMENT_IDS[type], 4), integer(count, 8)];
  return [...head, ...elements];
}

function text(value: string): Uint8Array {
  const bytes = utf8(value);
  return concatBytes(integer(bytes.length, 8), bytes);
}

function integer(value: number, bytes: 4 | 8): Uint8Array {
  const limit = bytes === 4 ? 0xffff_ffff : Number.MAX_SAFE_INTEGER;
  assert(Number.isSafeInteger(value) && value >= 0 && value <= limit, `${value} fits in ${bytes}`);
  const view = new DataView(new ArrayBuffer(bytes));
  if (bytes === 4) view.setUint32(0, value, true);
  else view.setBigUint64(0, BigInt(value), true);
  return new Uint8Array(view.buffer);
}

function float(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value, true);
  return new Uint8Array(view.buffer);
}
