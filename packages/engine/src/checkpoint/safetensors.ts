// The safetensors format: 8 bytes of length, a JSON header, the tensors' bytes. What we write is
// float32; a header may name other types. Spec: docs/spec/01-checkpoint.md §1.2.
// It deliberately knows no model: any names and shapes.
import { assert } from "@manyhands/base/assert";
import { compareText, concatBytes, utf8 } from "@manyhands/base/bytes";
import { describe } from "@manyhands/base/decode";
import { err, ok, type Result } from "@manyhands/base/result";
import { repeatedKey } from "./repeated-key.ts";
import { WEIGHT_BYTES, weightsFromBytes, weightsToBytes } from "./weights-bytes.ts";

/** A header may have so many bytes (the format's own limit). */
export const HEADER_BYTES_MAX = 100_000_000;
/** Tensors' bytes start at a multiple of this. */
const ALIGNMENT_BYTES = 8;

const LENGTH_BYTES = 8;
const METADATA = "__metadata__";

export type TensorData = {
  readonly name: string;
  readonly shape: readonly number[];
  /** Row-major; as many as the shape says. */
  readonly values: Float32Array;
};

export type Safetensors = {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of their bytes. */
  readonly tensors: readonly TensorData[];
};

/** Which rule of docs/spec/01-checkpoint.md §1.2 was broken. */
export const SAFETENSORS_CODES = [
  "safetensors/truncated",
  "safetensors/header-length",
  "safetensors/misaligned",
  "safetensors/header-text",
  "safetensors/repeated-key",
  "safetensors/metadata",
  "safetensors/entry",
  "safetensors/dtype",
  "safetensors/shape",
  "safetensors/offsets",
  "safetensors/size",
  "safetensors/hole",
  "safetensors/overlap",
  "safetensors/trailing",
] as const;
export type SafetensorsCode = (typeof SAFETENSORS_CODES)[number];
export type SafetensorsProblem = { readonly code: SafetensorsCode; readonly message: string };

/** Bytes of one element. */
export const DTYPE_BYTES = { F32: 4, F16: 2, BF16: 2, U8: 1 } as const;
export type StoredType = keyof typeof DTYPE_BYTES;

/** A header's line about one tensor, after its checks: its bytes lie from begin to end. */
export type TensorEntry = {
  readonly name: string;
  readonly dtype: StoredType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
};

/** What a reader accepts beyond what we write. */
export type HeaderRules = {
  readonly dtypes: readonly StoredType[];
  /** Whether tensors must start at a multiple of 8; files from before 2023 do not. */
  readonly aligned: boolean;
};

const OUR_RULES: HeaderRules = { dtypes: ["F32"], aligned: true };

export type SafetensorsHeader = {
  readonly metadata: Readonly<Record<string, string>>;
  /** Where the tensors' bytes start in the file; entries count from there. */
  readonly dataStart: number;
  /** In the order of their bytes. */
  readonly entries: readonly TensorEntry[];
};

function broken(code: SafetensorsCode, message: string): Result<never, SafetensorsProblem> {
  return err({ code, message });
}

/**
 * The file's bytes, float32. Tensors keep the order given; the header is padded with spaces.
 *
 * @throws AssertionError on a name that is used twice or reserved, or a shape that does not fit
 */
export function writeSafetensors(
  tensors: readonly TensorData[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  for (const { name, shape, values } of tensors) {
    assert(values.length === elementCount(shape), `${name}: shape and values differ in size`);
  }
  const lines = tensors.map(({ name, shape }) => ({ name, shape, dtype: "F32" as const }));
  const head = safetensorsHead(lines, metadata);
  return concatBytes(head, ...tensors.map((tensor) => weightsToBytes(tensor.values)));
}

/** What a header says of a tensor whose bytes follow those of the one before. */
export type TensorLine = Pick<TensorEntry, "name" | "dtype" | "shape">;

/**
 * Length and header of a file whose tensors follow in the order given, without gaps.
 *
 * @throws AssertionError on a name that is used twice or reserved
 */
export function safetensorsHead(
  tensors: readonly TensorLine[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const seen = new Set<string>([METADATA]);
  const lines: string[] = [];
  if (Object.keys(metadata).length > 0) lines.push(headerLine(METADATA, sorted(metadata)));
  let at = 0;
  for (const { name, shape, dtype } of tensors) {
    assert(!seen.has(name), `the tensor name ${name} is reserved or used twice`);
    seen.add(name);
    const end = at + elementCount(shape) * DTYPE_BYTES[dtype];
    lines.push(headerLine(name, { dtype, shape, data_offsets: [at, end] }));
    at = end;
  }
  const text = utf8(`{${lines.join(",")}}`);
  const headerBytes = Math.ceil(text.length / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
  assert(headerBytes <= HEADER_BYTES_MAX, `a header of ${headerBytes} bytes is too long`);
  const head = new Uint8Array(LENGTH_BYTES + headerBytes).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(headerBytes), true);
  head.set(text, LENGTH_BYTES);
  return head;
}

function headerLine(key: string, value: unknown): string {
  return `${JSON.stringify(key)}:${JSON.stringify(value)}`;
}

function sorted(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => compareText(a, b)));
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/**
 * Reads a file that anybody may have written. Memory stays within a small multiple of the file's
 * size: nothing is allocated from a number that the file claims before that number is checked.
 */
export function readSafetensors(bytes: Uint8Array): Result<Safetensors, SafetensorsProblem> {
  const dataStart = headerEnd(bytes, bytes.length, OUR_RULES);
  if (!dataStart.ok) return dataStart;
  const header = readHeader(bytes.subarray(0, dataStart.value), bytes.length, OUR_RULES);
  if (!header.ok) return header;
  const data = bytes.subarray(dataStart.value);
  const tensors = header.value.entries.map(({ name, shape, begin, end }) => ({
    name,
    shape,
    values: weightsFromBytes(data.subarray(begin, end)),
  }));
  return ok({ metadata: header.value.metadata, tensors });
}

/**
 * Where a file's header ends and its tensors start, from the file's first 8 bytes or more.
 *
 * @param fileBytes the size of the whole file
 */
export function headerEnd(
  start: Uint8Array,
  fileBytes: number,
  rules: HeaderRules,
): Result<number, SafetensorsProblem> {
  if (start.length < LENGTH_BYTES) {
    return broken("safetensors/truncated", `${start.length} bytes; the header's length needs 8`);
  }
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(HEADER_BYTES_MAX) || length < 2n) {
    const range = `2 to ${HEADER_BYTES_MAX}`;
    return broken("safetensors/header-length", `a header has ${range} bytes, found ${length}`);
  }
  const dataStart = LENGTH_BYTES + Number(length);
  if (dataStart > fileBytes) {
    const claim = `a header of ${length} bytes in a file of ${fileBytes}`;
    return broken("safetensors/truncated", claim);
  }
  if (rules.aligned && dataStart % ALIGNMENT_BYTES !== 0) {
    const found = `the tensors start at byte ${dataStart}, no multiple of ${ALIGNMENT_BYTES}`;
    return broken("safetensors/misaligned", found);
  }
  return ok(dataStart);
}

/**
 * What a file's header says, after all checks that need no tensor's bytes.
 *
 * @param head      the file's bytes up to its headerEnd
 * @param fileBytes the size of the whole file
 */
export function readHeader(
  head: Uint8Array,
  fileBytes: number,
  rules: HeaderRules,
): Result<SafetensorsHeader, SafetensorsProblem> {
  const fields = parseHeader(head.subarray(LENGTH_BYTES));
  if (!fields.ok) return fields;
  const metadata = readMetadata(fields.value[METADATA]);
  if (!metadata.ok) return metadata;
  const entries: TensorEntry[] = [];
  for (const [name, value] of Object.entries(fields.value)) {
    if (name === METADATA) continue;
    const entry = readEntry(name, value, rules.dtypes);
    if (!entry.ok) return entry;
    entries.push(entry.value);
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const laid = checkLayout(entries, fileBytes - head.length);
  if (!laid.ok) return laid;
  return ok({ metadata: metadata.value, dataStart: head.length, entries });
}

type Fields = { readonly [name: string]: unknown };

function parseHeader(bytes: Uint8Array): Result<Fields, SafetensorsProblem> {
  if (bytes[0] !== 0x7b) {
    return broken("safetensors/header-text", "the header must start with {");
  }
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    // The parser's own words quote the file; the rule is enough.
    return broken("safetensors/header-text", "the header is no JSON in UTF-8");
  }
  const repeated = repeatedKey(text);
  if (repeated !== undefined) {
    return broken("safetensors/repeated-key", `the key ${describe(repeated)} stands there twice`);
  }
  return ok(value as Fields);
}

function readMetadata(value: unknown): Result<Record<string, string>, SafetensorsProblem> {
  if (value === undefined) return ok({});
  const texts = isFields(value) && Object.values(value).every((each) => typeof each === "string");
  return texts
    ? ok(value as Record<string, string>)
    : broken("safetensors/metadata", `${METADATA} must map texts to texts`);
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const ENTRY_KEYS = ["data_offsets", "dtype", "shape"];

function readEntry(
  name: string,
  value: unknown,
  dtypes: readonly StoredType[],
): Result<TensorEntry, SafetensorsProblem> {
  const who = describe(name);
  const keys = isFields(value) ? Object.keys(value).sort(compareText) : [];
  if (!isFields(value) || keys.join() !== ENTRY_KEYS.join()) {
    const rule = "must have dtype, shape and data_offsets, and nothing else";
    return broken("safetensors/entry", `${who} ${rule}`);
  }
  const dtype = dtypes.find((each) => each === value["dtype"]);
  if (dtype === undefined) {
    const found = describe(value["dtype"]);
    const list = dtypes.join(", ");
    return broken("safetensors/dtype", `${who}: the dtypes read here are ${list}, found ${found}`);
  }
  const shape = value["shape"];
  if (!isSizes(shape) || !hasSafeProduct(shape)) {
    const rule = "a shape is a list of sizes ≥ 0 whose product is below 2⁵¹";
    return broken("safetensors/shape", `${who}: ${rule}`);
  }
  const offsets = value["data_offsets"];
  if (!isSizes(offsets) || offsets.length !== 2) {
    return broken("safetensors/offsets", `${who}: data_offsets are two integers ≥ 0`);
  }
  const [begin = 0, end = 0] = offsets;
  const size = elementCount(shape) * DTYPE_BYTES[dtype];
  if (end - begin !== size) {
    const found = `data_offsets cover ${end - begin} bytes`;
    return broken("safetensors/size", `${who}: the shape needs ${size} bytes, ${found}`);
  }
  return ok({ name, dtype, shape, begin, end });
}

/** Integers ≥ 0; −0 is refused, because other readers refuse the minus. */
function isSizes(value: unknown): value is readonly number[] {
  return (
    Array.isArray(value) &&
    value.every((each) => Number.isSafeInteger(each) && each >= 0 && !Object.is(each, -0))
  );
}

/** Every product on the way counts too: (2⁵², 2⁵², 0) is no shape, although it is empty. */
function hasSafeProduct(shape: readonly number[]): boolean {
  let bytes = WEIGHT_BYTES;
  for (const extent of shape) {
    bytes *= extent;
    if (!Number.isSafeInteger(bytes)) return false;
  }
  return true;
}

/** Sorted entries must tile 0 … dataBytes: no hole, no overlap, nothing beyond. */
function checkLayout(
  entries: readonly TensorEntry[],
  dataBytes: number,
): Result<null, SafetensorsProblem> {
  let at = 0;
  for (const { name, begin, end } of entries) {
    const who = `${describe(name)} starts at ${begin}`;
    if (begin > at)
      return broken("safetensors/hole", `${who}; bytes ${at} to ${begin} are nobody's`);
    if (begin < at) return broken("safetensors/overlap", `${who}; the one before ends at ${at}`);
    if (end > dataBytes) {
      const found = `${describe(name)} ends at byte ${end}; the file has ${dataBytes}`;
      return broken("safetensors/truncated", found);
    }
    at = end;
  }
  return at === dataBytes
    ? ok(null)
    : broken("safetensors/trailing", `${dataBytes - at} bytes after the last tensor`);
}
