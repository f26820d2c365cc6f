// The byte-level tokenizer in the format of Hugging Face's `tokenizers`.
// Not a reader of other people's tokenizers.
import { byteCharacters } from "./byte-characters.ts";

/**
 * `tokenizer.json`: byte-level BPE without a single merge. The byte-level step writes byte b as one
 * printable character; the vocabulary maps that character back to the id b.
 */
export function tokenizerJson(): string {
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: false,
    use_regex: false,
  };
  return json({
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(byteCharacters().map((character, byte) => [character, byte])),
      merges: [],
    },
  });
}

/** `tokenizer_config.json`: which class reads tokenizer.json, and that text is left as it is. */
export function tokenizerConfigJson(contextLength: number): string {
  return json({
    tokenizer_class: "PreTrainedTokenizerFast",
    model_max_length: contextLength,
    clean_up_tokenization_spaces: false,
    add_prefix_space: false,
    bos_token: null,
    eos_token: null,
    pad_token: null,
    unk_token: null,
  });
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
