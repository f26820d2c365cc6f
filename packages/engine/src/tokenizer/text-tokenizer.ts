// What the engine asks of any tokenizer, and the byte tokenizer as one of them.
// Not a tokenizer of a published model: model-tokenizer.ts is.
import { BYTE_VOCAB_SIZE, decodeTokens, encodeText, TokenStream } from "./bytes.ts";
import { ChatTemplate } from "./chat-template.ts";

/**
 * Who wrote the text. "text": a person, so what looks like a control token ("<|im_end|>") stays
 * letters. "control": somebody who may write control tokens, as transformers takes all text.
 */
export type Author = "text" | "control";

export type EncodeOptions = {
  /** "text" unless told. */
  readonly author?: Author;
  /** Whether the tokens that the model's own tokenizer puts around a text (BOS, EOS) are added. */
  readonly wrap?: boolean;
  /** Whether the text goes on from another, so that no space is put before it. */
  readonly continues?: boolean;
  /** A character that is dropped once control tokens were looked for (ChatTemplate's guard). */
  readonly guard?: string | undefined;
};

/** Ids, and for each place in the text the first token that has a character from there on. */
export type MarkedIds = { readonly ids: number[]; readonly at: number[] };

/** Text to token ids and back, whatever the model. */
export type TextTokenizer = {
  /** bytes: a token is a byte. model: the tokenizer.json of a published model. */
  readonly kind: "bytes" | "model";
  /** 1 + the greatest id. A model may have more rows than that: some are padded to a multiple. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** What stands where there is no text: pad, else EOS, else 0. Never counted in a loss. */
  readonly padId: number;
  /** How the model's makers write a conversation, if they say so. */
  readonly chat: ChatTemplate | undefined;
  encode(text: string, options?: EncodeOptions): number[];
  /**
   * The same ids, with where places of the text are among them: a token that straddles a place
   * belongs to what follows it.
   *
   * @param marks places in the text (UTF-16), ascending
   */
  encodeMarked(text: string, marks: readonly number[], options?: EncodeOptions): MarkedIds;
  /** The text; of byte sequences that are no UTF-8 as much as can be read, with U+FFFD. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  /** Decodes tokens as they are generated: an unfinished character waits for its other bytes. */
  stream(): TextStream;
};

export type DecodeOptions = {
  /** Leaves out control tokens. */
  readonly skipControl?: boolean;
};

export type TextStream = {
  /** The characters that these tokens finish. */
  push(ids: ArrayLike<number>): string;
  /** What is left at the end: nothing, or U+FFFD for a character that was cut. */
  end(): string;
};

/**
 * The tokenizer of the project's own models: nothing can be a control token.
 *
 * @param chatTemplate Jinja, for data in conversations
 */
export function byteTokenizer(chatTemplate?: string): TextTokenizer {
  return {
    kind: "bytes",
    vocabSize: BYTE_VOCAB_SIZE,
    bosId: undefined,
    eosId: undefined,
    padId: 0,
    chat: chatTemplate === undefined ? undefined : new ChatTemplate(chatTemplate),
    encode: (text, options) => [...encodeText(unguarded(text, options))],
    encodeMarked: (text, marks, options) => ({
      ids: [...encodeText(unguarded(text, options))],
      at: marks.map((mark) => encodeText(unguarded(text.slice(0, mark), options)).length),
    }),
    decode: (ids) => decodeTokens(ids),
    stream: () => new TokenStream(),
  };
}

function unguarded(text: string, options: EncodeOptions = {}): string {
  return options.guard === undefined ? text : text.replaceAll(options.guard, "");
}
