// How a tokenizer.json cuts text before it merges, as one of the rules that llama.cpp has by name.
// A rule that it does not have is refused: it would cut text differently from the training.
// @source llama.cpp's src/llama-vocab.cpp (llm_tokenizer_bpe, llama_vocab::impl::load)
import { describe } from "@manyhands/base/decode";
import { err, ok, type Result } from "@manyhands/base/result";
import { fieldsOf, type Json } from "./json.ts";

export type Cut =
  /** Bytes as characters, cut by the rule of this name. */
  | { readonly kind: "bytes"; readonly name: string }
  /** SentencePiece's way: spaces as "▁", one before the text if prefix. */
  | { readonly kind: "spaces"; readonly prefix: boolean };

const WORD = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const REST = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const LLAMA_3 = `${WORD}|\\p{N}{1,3}|${REST}`;
const QWEN_2 = `${WORD}|\\p{N}|${REST}`;

/** The rule, or why llama.cpp has none. */
export function cutOf(tokenizer: Json, merges: number): Result<Cut, string> {
  const { model, pre_tokenizer: cut, normalizer } = tokenizer;
  const steps = stepsOf(cut, "pretokenizers");
  const changes = stepsOf(normalizer, "normalizers");
  if (typeOf(steps.at(-1)) === "ByteLevel") {
    // Unicode's NFC is left to the caller by llama.cpp; only text that is not normal yet differs.
    const other = changes.find((each) => typeOf(each) !== "NFC");
    if (other !== undefined) return unknownRule("normalizer", other);
    const name = byteRule(steps, { model, merges });
    return name === undefined ? unknownRule("pre_tokenizer", cut) : ok({ kind: "bytes", name });
  }
  if (fieldsOf(model)["byte_fallback"] !== true) return unknownRule("pre_tokenizer", cut);
  return spaceRule(steps, changes);
}

function unknownRule(what: string, found: unknown): Result<never, string> {
  const rule = `tokenizer.json: llama.cpp has no name for this ${what}`;
  return err(`${rule}: ${describe(JSON.stringify(found) ?? "nothing")}`);
}

function byteRule(
  steps: readonly Json[],
  { model, merges }: { readonly model: unknown; readonly merges: number },
): string | undefined {
  const [first, last] = steps.length === 1 ? [undefined, steps[0]] : [steps[0], steps[1]];
  if (last === undefined || steps.length > 2 || last["add_prefix_space"] === true) return undefined;
  const whole = last["use_regex"] === false;
  // Without merges every byte is a token, however the text was cut.
  if (merges === 0) return "gpt-2";
  if (first === undefined) return whole ? undefined : "gpt-2";
  if (typeOf(first) === "Digits") {
    return first["individual_digits"] === true && !whole ? "smollm" : undefined;
  }
  if (typeOf(first) !== "Split" || !whole || first["behavior"] !== "Isolated") return undefined;
  if (first["invert"] === true) return undefined;
  const pattern = fieldsOf(first["pattern"])["Regex"];
  if (pattern === QWEN_2) return "qwen2";
  if (pattern !== LLAMA_3) return undefined;
  // The same cut; a word that is a token as a whole is taken before any merge, or is not.
  return fieldsOf(model)["ignore_merges"] === true ? "llama-bpe" : "smaug-bpe";
}

function spaceRule(steps: readonly Json[], changes: readonly Json[]): Result<Cut, string> {
  let prefix = false;
  for (const change of changes) {
    const type = typeOf(change);
    const replaces = fieldsOf(change["pattern"])["String"] === " " && change["content"] === "▁";
    if (type === "Prepend" && change["prepend"] === "▁") prefix = true;
    else if (type !== "Replace" || !replaces) return unknownRule("normalizer", change);
  }
  for (const step of steps) {
    const type = typeOf(step);
    if (type === "Metaspace" && step["replacement"] === "▁" && step["split"] !== true) {
      prefix = step["prepend_scheme"] !== "never";
    } else if (type !== "Split" || fieldsOf(step["pattern"])["String"] !== " ") {
      // Gemma splits at spaces, of which none are left.
      return unknownRule("pre_tokenizer", step);
    }
  }
  return ok({ kind: "spaces", prefix });
}

/** A sequence's parts, or the one step, or none. */
function stepsOf(value: unknown, key: string): readonly Json[] {
  const fields = fieldsOf(value);
  if (fields["type"] === undefined) return [];
  const inner: unknown = fields[key];
  if (fields["type"] !== "Sequence" || !Array.isArray(inner)) return [fields];
  return inner.flatMap((each) => stepsOf(each, key));
}

function typeOf(step: Json | undefined): unknown {
  return step?.["type"];
}
