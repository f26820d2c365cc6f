// What a run trains if not a model from nothing: adapters over a frozen base, or all weights of a
// model that was trained before. Not how: that is the engine's.
import {
  type Decoded,
  type Decoder,
  fallback,
  flag,
  hex,
  integer,
  list,
  object,
  oneOf,
  real,
  tagged,
  text,
} from "@manyhands/base/decode";
import { ADAPTER_RANK_MAX, ADAPTER_TARGETS_MAX } from "./limits.ts";

const TARGET_CHARS_MAX = 256;

const namesDecoder = list(text(TARGET_CHARS_MAX), { min: 1, max: ADAPTER_TARGETS_MAX });
const allDecoder = oneOf("all-linear");

const targetsDecoder: Decoder<"all-linear" | readonly string[]> = (value, path) =>
  Array.isArray(value) ? namesDecoder(value, path) : allDecoder(value, path);

/** PEFT's LoraConfig in camelCase. */
export const adapterFields = {
  r: integer(1, ADAPTER_RANK_MAX),
  loraAlpha: real(1e-6, 1e6),
  /** The share of an adapter's inputs that a step leaves out. */
  loraDropout: fallback(real(0, 0.99), 0),
  /** Ends of module names, or every matrix of the blocks. */
  targetModules: fallback(targetsDecoder, "all-linear"),
  useRslora: fallback(flag, false),
  useDora: fallback(flag, false),
};

/** How the frozen weights are stored: the engine's base files (docs/spec/08-tuning.md §8.3). */
export const baseKindDecoder = oneOf("f32", "f16", "q8", "q4", "nf4", "ternary");

const blobDecoder = object({ byteLength: integer(1), root: hex(32) });

/**
 * The small files of the model that is trained on: a blob that nobody needs for training, but who
 * wants to read or write words (docs/spec/08-tuning.md §8.4). Absent: tokens are bytes, or the run
 * is older than the field.
 */
const modelFilesDecoder = fallback<Decoded<typeof blobDecoder> | undefined>(blobDecoder, undefined);

/** `lora`: the fragments are the adapters'. `full`: the model's, and the first come from a blob. */
const fieldsDecoder = tagged("method", {
  lora: object({
    method: oneOf("lora"),
    adapter: object(adapterFields),
    /** The base file: a blob like those of the data set. */
    base: object({ kind: baseKindDecoder, byteLength: integer(1), root: hex(32) }),
    files: modelFilesDecoder,
  }),
  full: object({ method: oneOf("full"), files: modelFilesDecoder }),
});

type Fields = Decoded<typeof fieldsDecoder>;
/** A field that may be left out. */
type Loose<T> = T extends { readonly files: infer F }
  ? Omit<T, "files"> & { readonly files?: F }
  : never;

export type Tuning = Loose<Fields>;
export const tuningDecoder: Decoder<Tuning> = fieldsDecoder;
