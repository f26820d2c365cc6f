// The closed list of codecs that protocol version 1 knows (spec §2.3).
// Not extensible at run time: a new codec is a new protocol version, with vectors.
import type { BlockCodec } from "./block-codec.ts";
import { q8 } from "./q8.ts";
import { sign } from "./sign.ts";
import { ternary } from "./ternary.ts";

const CODECS = { q8, ternary, sign } as const satisfies { readonly [name: string]: BlockCodec };

export type CodecName = keyof typeof CODECS;

export const CODEC_NAMES: readonly CodecName[] = ["q8", "ternary", "sign"];

export function blockCodec(name: CodecName): BlockCodec {
  return CODECS[name];
}

/** The codec with this id in an update's header, if there is one. */
export function codecOfId(id: number): CodecName | undefined {
  return CODEC_NAMES.find((name) => CODECS[name].id === id);
}
