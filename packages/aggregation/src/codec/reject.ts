// Why an encoded update is refused: one code per rule, with its facts (spec §2.8).
// Not exceptions: the sender is a stranger, so a refusal is an ordinary outcome.
import type { CodecName } from "./codecs.ts";

export type CodecReject =
  | {
      readonly code: "codec/truncated";
      readonly bytesFound: number;
      readonly bytesExpected: number;
    }
  | { readonly code: "codec/bad-magic" }
  | { readonly code: "codec/version"; readonly found: number; readonly expected: number }
  | { readonly code: "codec/unknown-codec"; readonly found: number }
  | {
      readonly code: "codec/wrong-codec";
      readonly found: CodecName;
      readonly expected: CodecName;
    }
  | { readonly code: "codec/fragment-count"; readonly found: number; readonly expected: number }
  | { readonly code: "codec/coverage"; readonly rule: "empty" | "padding" | "not-allowed" }
  | { readonly code: "codec/elements"; readonly found: number; readonly expected: number }
  | { readonly code: "codec/length"; readonly bytesFound: number; readonly bytesExpected: number }
  | { readonly code: "codec/scale"; readonly block: number; readonly found: number }
  | { readonly code: "codec/level"; readonly block: number; readonly byte: number }
  | { readonly code: "codec/trit"; readonly block: number; readonly byte: number }
  | { readonly code: "codec/padding"; readonly block: number; readonly byte: number }
  | { readonly code: "codec/unmatched"; readonly block: number; readonly byte: number };
