// A frozen model's stored form as one file, which names what it holds and is checked when read.
// Format: docs/spec/08-tuning.md §8.3. It deliberately opens no files: bytes in, bytes out.
import { toHex, utf8 } from "@manyhands/base/bytes";
import { canonicalJson, type Json } from "@manyhands/base/canonical";
import { InputError } from "@manyhands/base/errors";
import { type Sha256, sha256 } from "@manyhands/base/hash";
import type { ModelConfig } from "../model/config.ts";
import { BaseModel, type StoredTensor, storedPlaces, storedViews } from "./base-model.ts";
import { BASE_KINDS, type BaseKind } from "./kinds.ts";

const MAGIC = utf8("MHBASE01");
const HEADER_AT = 12;
const ALIGNMENT = 16;
const HEADER_BYTES_MAX = 64 << 20;

type Header = {
  readonly kind: BaseKind;
  /** [‖W − Ŵ‖², ‖W‖²] of each tensor. */
  readonly losses: readonly (readonly [number, number])[];
  readonly model: Json;
  /** SHA-256 of the payload, in hexadecimal. */
  readonly payload: string;
};

/** The file's two parts, in their order: what comes before the payload, and the payload itself. */
export function encodeBase(
  base: BaseModel,
  hash: Sha256 = sha256,
): readonly [Uint8Array, Uint8Array] {
  const header: Header = {
    kind: base.kind,
    losses: base.losses.map(({ lost, whole }) => [lost, whole] as const),
    model: base.config as unknown as Json,
    payload: toHex(hash(base.payload)),
  };
  const text = utf8(canonicalJson(header as unknown as Json));
  const lead = new Uint8Array(Math.ceil((HEADER_AT + text.length) / ALIGNMENT) * ALIGNMENT);
  lead.set(MAGIC);
  new DataView(lead.buffer).setUint32(MAGIC.length, text.length, true);
  lead.set(text, HEADER_AT);
  return [lead, base.payload];
}

/**
 * Reads and checks a whole file.
 *
 * @param config of the model that it must hold
 * @throws InputError if it is damaged, or another model's
 */
export function decodeBase(
  bytes: Uint8Array,
  config: ModelConfig,
  hash: Sha256 = sha256,
): BaseModel {
  const { header, start } = readHeader(bytes);
  if (canonicalJson(header.model) !== canonicalJson(config as unknown as Json)) {
    throw new InputError("the base file holds another model");
  }
  const { places, bytes: size } = storedPlaces(config, header.kind);
  if (bytes.length !== start + size || header.losses.length !== places.length) {
    const found = `${bytes.length} bytes instead of ${start + size}`;
    throw new InputError(`the base file is damaged: ${found}`, { hint: DAMAGED_HINT });
  }
  const payload = alignedPayload(bytes, start);
  if (toHex(hash(payload)) !== header.payload) {
    throw new InputError("the base file is damaged: its hash is another", { hint: DAMAGED_HINT });
  }
  const tensors: StoredTensor[] = places.map((place, index) => {
    const [lost = 0, whole = 0] = header.losses[index] ?? [];
    const { name, shape, kind } = place;
    return { name, shape, kind, ...storedViews(place, payload), loss: { lost, whole } };
  });
  return new BaseModel(config, header.kind, { tensors, payload });
}

const DAMAGED_HINT = "remove the file; it is made anew from the model";

/** A view where the arrays in it can be, or a copy. */
function alignedPayload(bytes: Uint8Array, start: number): Uint8Array<ArrayBuffer> {
  const view = bytes.subarray(start);
  const fits = view.byteOffset % ALIGNMENT === 0 && view.buffer instanceof ArrayBuffer;
  return fits ? (view as Uint8Array<ArrayBuffer>) : view.slice();
}

function readHeader(bytes: Uint8Array): { readonly header: Header; readonly start: number } {
  const magic = MAGIC.every((byte, i) => bytes[i] === byte);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = magic && bytes.length >= HEADER_AT ? view.getUint32(MAGIC.length, true) : 0;
  const end = HEADER_AT + length;
  if (length === 0 || length > HEADER_BYTES_MAX || end > bytes.length) {
    throw new InputError("this is no base file of manyhands, or one cut short");
  }
  const text = new TextDecoder().decode(bytes.subarray(HEADER_AT, end));
  const header = parseHeader(text);
  if (!header) throw new InputError("the base file's header cannot be read");
  return { header, start: Math.ceil(end / ALIGNMENT) * ALIGNMENT };
}

function parseHeader(text: string): Header | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null) return undefined;
  const header = parsed as Readonly<Record<string, unknown>>;
  const kind = BASE_KINDS.find((each) => each === header["kind"]);
  const { losses, payload, model } = header;
  if (!kind || typeof payload !== "string" || !Array.isArray(losses)) return undefined;
  const pairs = losses.map((pair: unknown) => (Array.isArray(pair) ? pair.map(Number) : []));
  const valid = pairs.every((pair) => pair.length === 2 && pair.every((x) => x >= 0));
  if (!valid || typeof model !== "object" || model === null) return undefined;
  return {
    kind,
    payload,
    model: model as Json,
    losses: pairs.map(([lost = 0, whole = 0]) => [lost, whole]),
  };
}
