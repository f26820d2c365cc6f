// An update on the wire: encode, check, decode (spec §2.7, §2.8).
// Not compression with memory: error feedback stands in error-feedback.ts.
import type { Bytes } from "@manyhands/base/bytes";
import { err, ok, type Result } from "@manyhands/base/result";
import {
  allFragments,
  assertCovered,
  assertFits,
  elementCount,
  type Fragment,
} from "../fragments.ts";
import { type BlockFault, isScale } from "./block-codec.ts";
import { blockCodec, type CodecName } from "./codecs.ts";
import {
  type Block,
  type Layout,
  readLayout,
  scaleOffset,
  type UpdateHeader,
  updateLayout,
  viewOf,
  writeHeader,
} from "./layout.ts";
import type { CodecReject } from "./reject.ts";

export type EncodeOptions = {
  readonly codec: CodecName;
  readonly fragments: readonly Fragment[];
  /** Indices of the covered fragments, ascending; all of them if left out. */
  readonly covered?: readonly number[] | undefined;
  /** One value per element of the whole state; those outside the covered fragments are not read. */
  readonly values: Float32Array;
};

export type DecodeOptions = {
  /** The run's codec: any other is refused. Without it, any known codec is accepted. */
  readonly codec?: CodecName | undefined;
  /** The fragments that this update may cover; without it, any. */
  readonly allowed?: readonly number[] | undefined;
};

export type DecodedUpdate = UpdateHeader & {
  /** One value per element of the whole state; zero outside the covered fragments. */
  readonly values: Float32Array;
};

/**
 * Bytes of values under a codec. The same values give the same bytes on every device.
 *
 * @throws AssertionError if a value is not finite or too large to encode (screen first), or the
 *         lengths or indices do not fit
 * @cost   two or three passes over the values, no temporary but the result
 * @source docs/spec §2.3–2.7 · vectors/aggregation/codec.json
 */
export function encodeUpdate(options: EncodeOptions): Bytes {
  const { codec, fragments, values } = options;
  const covered = options.covered ?? allFragments(fragments);
  assertFits(fragments, values, "values to encode");
  assertCovered(fragments, covered);
  const layout = updateLayout(fragments, { codec, covered });
  const bytes = new Uint8Array(layout.byteLength);
  writeHeader(bytes, fragments, layout);
  const view = viewOf(bytes);
  const { encode } = blockCodec(codec);
  for (const [index, block] of layout.blocks.entries()) {
    const scale = encode(values.subarray(block.from, block.to), payloadOf(bytes, block));
    view.setFloat32(scaleOffset(layout, index), scale, true);
  }
  return bytes;
}

/**
 * Is this an update that decodes? The whole test, without making any values.
 *
 * **Bound** one pass over the bytes, once their length is exact for the run's fragments.
 * **Rejects** every `codec/…` code (spec §2.8). Never throws on bytes.
 */
export function checkUpdate(
  bytes: Bytes,
  fragments: readonly Fragment[],
  options: DecodeOptions = {},
): Result<UpdateHeader, CodecReject> {
  const layout = checkedLayout(bytes, fragments, options);
  if (!layout.ok) return layout;
  const { codec, covered } = layout.value;
  return ok({ codec, covered });
}

/**
 * Untrusted bytes to values.
 *
 * @returns values of the whole state (zero where not covered), or why the bytes are refused
 */
export function decodeUpdate(
  bytes: Bytes,
  fragments: readonly Fragment[],
  options: DecodeOptions = {},
): Result<DecodedUpdate, CodecReject> {
  const layout = checkedLayout(bytes, fragments, options);
  if (!layout.ok) return layout;
  const values = new Float32Array(elementCount(fragments));
  const { codec, covered } = layout.value;
  decodeCheckedInto(values, bytes, layout.value);
  return ok({ codec, covered, values });
}

/**
 * As decodeUpdate, into an array of the whole state. Elements outside the covered fragments keep
 * what they had; on a rejection nothing is written.
 */
export function decodeUpdateInto(
  out: Float32Array,
  bytes: Bytes,
  fragments: readonly Fragment[],
  options: DecodeOptions = {},
): Result<UpdateHeader, CodecReject> {
  assertFits(fragments, out, "room to decode");
  const layout = checkedLayout(bytes, fragments, options);
  if (!layout.ok) return layout;
  decodeCheckedInto(out, bytes, layout.value);
  const { codec, covered } = layout.value;
  return ok({ codec, covered });
}

/** Bytes of an update that covers these fragments: a function of the header alone. */
export function updateBytes(
  codec: CodecName,
  fragments: readonly Fragment[],
  covered: readonly number[] = allFragments(fragments),
): number {
  assertCovered(fragments, covered);
  return updateLayout(fragments, { codec, covered }).byteLength;
}

/** The longest update of a run: the limit for an upload. */
export function updateBytesMax(codec: CodecName, fragments: readonly Fragment[]): number {
  return updateBytes(codec, fragments);
}

function payloadOf(bytes: Bytes, block: Block): Bytes {
  return bytes.subarray(block.payloadAt, block.payloadEnd);
}

function decodeCheckedInto(out: Float32Array, bytes: Bytes, layout: Layout): void {
  const view = viewOf(bytes);
  const { decodeInto } = blockCodec(layout.codec);
  for (const [index, block] of layout.blocks.entries()) {
    const scale = view.getFloat32(scaleOffset(layout, index), true);
    decodeInto(out.subarray(block.from, block.to), payloadOf(bytes, block), scale);
  }
}

function checkedLayout(
  bytes: Bytes,
  fragments: readonly Fragment[],
  options: DecodeOptions,
): Result<Layout, CodecReject> {
  const layout = readLayout(bytes, fragments);
  if (!layout.ok) return layout;
  const { codec, covered } = layout.value;
  const expected = options.codec;
  if (expected !== undefined && codec !== expected) {
    return err({ code: "codec/wrong-codec", found: codec, expected });
  }
  const allowed = options.allowed && new Set(options.allowed);
  if (allowed && !covered.every((index) => allowed.has(index))) {
    return err({ code: "codec/coverage", rule: "not-allowed" });
  }
  const reject = blocksReject(bytes, layout.value);
  return reject ? err(reject) : layout;
}

function blocksReject(bytes: Bytes, layout: Layout): CodecReject | undefined {
  const view = viewOf(bytes);
  const { check } = blockCodec(layout.codec);
  for (const [block, place] of layout.blocks.entries()) {
    const scale = view.getFloat32(scaleOffset(layout, block), true);
    if (!isScale(scale)) return { code: "codec/scale", block, found: scale };
    const fault = check(payloadOf(bytes, place), place.to - place.from, scale);
    if (fault) return faultReject(fault, block);
  }
  return undefined;
}

function faultReject(fault: BlockFault, block: number): CodecReject {
  return { code: `codec/${fault.rule}`, block, byte: fault.byte };
}
