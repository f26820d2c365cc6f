// The byte-level tokenizer in the format of Hugging Face's `tokenizers`.
// Not a reader of other people's tokenizers.
import { BYTE_VOCAB_SIZE } from "./bytes.ts";

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

/**
 * The printable character that stands for each byte: itself where Latin-1 shows one, else the next
 * unused character from U+0100 on.
 *
 * @source GPT-2's byte-level BPE (Radford et al. 2019), as in Hugging Face `tokenizers`
 */
function byteCharacters(): string[] {
  let spare = 0x100;
  return Array.from({ length: BYTE_VOCAB_SIZE }, (_, byte) =>
    String.fromCodePoint(isPrintable(byte) ? byte : spare++),
  );
}

function isPrintable(byte: number): boolean {
  const ascii = byte >= 0x21 && byte <= 0x7e;
  const latin1 = byte >= 0xa1 && byte !== 0xad;
  return ascii || latin1;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
