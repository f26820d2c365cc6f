// The header of an encoded update, and where its scales and payloads stand (spec §2.7).
// Not the payload: what a block's bytes mean is the block codec's business.
import { assert } from "@manyhands/base/assert";
import type { Bytes } from "@manyhands/base/bytes";
import { err, ok, type Result } from "@manyhands/base/result";
import { coveredRanges, FRAGMENTS_MAX, type Fragment } from "../fragments.ts";
import { BLOCK_ELEMENTS } from "./block-codec.ts";
import { blockCodec, type CodecName, codecOfId } from "./codecs.ts";
import type { CodecReject } from "./reject.ts";

const MAGIC = [0x4d, 0x48, 0x55, 0x50] as const; // "MHUP"
const VERSION = 1;
const VERSION_AT = 4;
const CODEC_AT = 5;
const FRAGMENT_COUNT_AT = 6;
const ELEMENTS_AT = 8;
/** Magic, version, codec, fragment count, elements; the coverage bitmap follows. */
const HEADER_BYTES = 16;
const SCALE_BYTES = 4;

/** One block: its elements in the flat array, and its payload's bytes in the update. */
export type Block = {
  readonly from: number;
  readonly to: number;
  readonly payloadAt: number;
  readonly payloadEnd: number;
};

/** Everything about an update that follows from its header. */
export type Layout = {
  readonly codec: CodecName;
  readonly covered: readonly number[];
  readonly elements: number;
  readonly scalesAt: number;
  readonly blocks: readonly Block[];
  readonly byteLength: number;
};

/** What an update says about itself. */
export type UpdateHeader = { readonly codec: CodecName; readonly covered: readonly number[] };

/** @param header codec and covered fragments, ascending; the caller has checked them */
export function updateLayout(fragments: readonly Fragment[], header: UpdateHeader): Layout {
  const { codec, covered } = header;
  const { payloadBytes } = blockCodec(codec);
  const spans = coveredRanges(fragments, covered).flatMap(({ from, to }) => {
    const starts = Array.from(
      { length: Math.ceil((to - from) / BLOCK_ELEMENTS) },
      (_, index) => from + index * BLOCK_ELEMENTS,
    );
    return starts.map((start) => ({ from: start, to: Math.min(start + BLOCK_ELEMENTS, to) }));
  });
  const scalesAt = HEADER_BYTES + bitmapBytes(fragments);
  let at = scalesAt + spans.length * SCALE_BYTES;
  let elements = 0;
  const blocks = spans.map(({ from, to }) => {
    const payloadAt = at;
    at += payloadBytes(to - from);
    elements += to - from;
    return { from, to, payloadAt, payloadEnd: at };
  });
  return { codec, covered, elements, scalesAt, blocks, byteLength: at };
}

/** A DataView of exactly these bytes. */
export function viewOf(bytes: Bytes): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function scaleOffset(layout: Layout, block: number): number {
  return layout.scalesAt + block * SCALE_BYTES;
}

function bitmapBytes(fragments: readonly Fragment[]): number {
  return Math.ceil(fragments.length / 8);
}

/** Writes the header of a layout into the first bytes, which are zero. */
export function writeHeader(bytes: Bytes, fragments: readonly Fragment[], layout: Layout): void {
  assert(fragments.length <= FRAGMENTS_MAX, `too many fragments: ${fragments.length}`);
  const view = viewOf(bytes);
  bytes.set(MAGIC);
  bytes[VERSION_AT] = VERSION;
  bytes[CODEC_AT] = blockCodec(layout.codec).id;
  view.setUint16(FRAGMENT_COUNT_AT, fragments.length, true);
  view.setBigUint64(ELEMENTS_AT, BigInt(layout.elements), true);
  for (const index of layout.covered) {
    const at = HEADER_BYTES + (index >> 3);
    bytes[at] = (bytes[at] ?? 0) | (1 << (index & 7));
  }
}

/**
 * Reads the header and checks it against the run's fragments, up to and including the exact length.
 *
 * **Bound** one pass over the bitmap; the layout has one small record per block of the state, and
 * nothing is allocated from a number that the sender wrote.
 */
export function readLayout(
  bytes: Bytes,
  fragments: readonly Fragment[],
): Result<Layout, CodecReject> {
  const bytesMin = HEADER_BYTES + bitmapBytes(fragments);
  if (bytes.length < bytesMin) {
    return err({ code: "codec/truncated", bytesFound: bytes.length, bytesExpected: bytesMin });
  }
  if (MAGIC.some((byte, index) => bytes[index] !== byte)) return err({ code: "codec/bad-magic" });
  const view = viewOf(bytes);
  const version = view.getUint8(VERSION_AT);
  if (version !== VERSION) {
    return err({ code: "codec/version", found: version, expected: VERSION });
  }
  const codec = codecOfId(view.getUint8(CODEC_AT));
  if (!codec) return err({ code: "codec/unknown-codec", found: view.getUint8(CODEC_AT) });
  const fragmentCount = view.getUint16(FRAGMENT_COUNT_AT, true);
  if (fragmentCount !== fragments.length) {
    return err({ code: "codec/fragment-count", found: fragmentCount, expected: fragments.length });
  }
  const covered = readCoverage(bytes, fragments);
  if (!covered.ok) return covered;
  const layout = updateLayout(fragments, { codec, covered: covered.value });
  const elements = view.getBigUint64(ELEMENTS_AT, true);
  if (elements !== BigInt(layout.elements)) {
    return err({ code: "codec/elements", found: Number(elements), expected: layout.elements });
  }
  const bytesExpected = layout.byteLength;
  return bytes.length === bytesExpected
    ? ok(layout)
    : err({ code: "codec/length", bytesFound: bytes.length, bytesExpected });
}

function readCoverage(
  bytes: Bytes,
  fragments: readonly Fragment[],
): Result<readonly number[], CodecReject> {
  const covered: number[] = [];
  for (let index = 0; index < bitmapBytes(fragments) * 8; index++) {
    const bit = ((bytes[HEADER_BYTES + (index >> 3)] ?? 0) >> (index & 7)) & 1;
    if (bit === 0) continue;
    if (index >= fragments.length) return err({ code: "codec/coverage", rule: "padding" });
    covered.push(index);
  }
  return covered.length > 0 ? ok(covered) : err({ code: "codec/coverage", rule: "empty" });
}
