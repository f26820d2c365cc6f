// The byte-level tokenizer: a token's id is the byte's value, so every file is a valid data set.
// No vocabulary to train and no special tokens.
import { utf8 } from "@manyhands/base/bytes";

/** One id per byte value. */
export const BYTE_VOCAB_SIZE = 256;

/** Token ids of a text: its UTF-8 bytes. A lone surrogate becomes U+FFFD. */
export function encodeText(text: string): Uint8Array {
  return utf8(text);
}

/** The text of tokens. What is no UTF-8 becomes U+FFFD; a byte order mark stays. */
export function decodeTokens(tokens: ArrayLike<number>): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(tokens));
}

/** Decodes tokens as they are generated: an unfinished character waits for its other bytes. */
export class TokenStream {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  /** The characters that these tokens finish. */
  push(tokens: ArrayLike<number>): string {
    return this.#decoder.decode(Uint8Array.from(tokens), { stream: true });
  }

  /** What is left at the end: nothing, or U+FFFD for a character that was cut. */
  end(): string {
    return this.#decoder.decode();
  }
}
