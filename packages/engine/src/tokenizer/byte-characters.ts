// The characters that stand for bytes in byte-level vocabularies. A table, not a tokenizer.
import { BYTE_VOCAB_SIZE } from "./bytes.ts";

/**
 * The printable character that stands for each byte: itself where Latin-1 shows one, else the next
 * unused character from U+0100 on.
 *
 * @source GPT-2's byte-level BPE (Radford et al. 2019), as in Hugging Face `tokenizers`
 */
export function byteCharacters(): string[] {
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
