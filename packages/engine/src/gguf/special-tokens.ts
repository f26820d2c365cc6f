// Which tokens begin and end a text, and whether the tokenizer adds them: from tokenizer.json,
// tokenizer_config.json and config.json, in this order. It deliberately judges no chat template.
import { fieldsOf, type Json } from "./json.ts";

type Kind = "bos" | "eos" | "unk" | "pad";

export type SpecialTokens = {
  readonly ids: Readonly<Partial<Record<Kind, number>>>;
  readonly addBos: boolean;
  readonly addEos: boolean;
};

type Files = {
  readonly tokenizer: Json;
  readonly tokenizerConfig: Json;
  readonly config: Json;
};

/** The byte that stands for "no text" where a vocabulary has bytes only. */
const NUL = 0;

/** @param known ids of the tokens' texts */
export function specialTokens(files: Files, known: ReadonlyMap<string, number>): SpecialTokens {
  const idOf = (kind: Kind): number | undefined => {
    const text = textOf(files.tokenizerConfig[`${kind}_token`]);
    const named = text === undefined ? undefined : known.get(text);
    return named ?? inRange(files.config[`${kind}_token_id`], known.size);
  };
  // llama.cpp takes token 11 for one that is not given; the other of the two, or NUL, is better.
  const [bos, eos] = [idOf("bos"), idOf("eos")];
  const [begin, end] = [bos ?? eos ?? NUL, eos ?? bos ?? NUL];
  const [unk, pad] = [idOf("unk"), idOf("pad")];
  const ids = {
    ...{ bos: begin, eos: end },
    ...(unk === undefined ? {} : { unk }),
    ...(pad === undefined ? {} : { pad }),
  };
  return { ids, ...added(files, known, { begin, end }) };
}

/** What is put around every text. */
function added(
  { tokenizer, tokenizerConfig }: Files,
  known: ReadonlyMap<string, number>,
  { begin, end }: { readonly begin: number; readonly end: number },
): { addBos: boolean; addEos: boolean } {
  const single = templateOf(tokenizer["post_processor"]);
  if (single === undefined) {
    const flag = (name: string): boolean => tokenizerConfig[name] === true;
    return { addBos: flag("add_bos_token"), addEos: flag("add_eos_token") };
  }
  const isToken = (piece: unknown, id: number): boolean => {
    const text = fieldsOf(fieldsOf(piece)["SpecialToken"])["id"];
    return typeof text === "string" && known.get(text) === id;
  };
  const more = single.length > 1;
  return {
    addBos: more && isToken(single[0], begin),
    addEos: more && isToken(single.at(-1), end),
  };
}

/** The pieces of a template for one text, if a step of the post-processor is one. */
function templateOf(processor: unknown): readonly unknown[] | undefined {
  const fields = fieldsOf(processor);
  const steps: unknown = fields["type"] === "Sequence" ? fields["processors"] : [fields];
  if (!Array.isArray(steps)) return undefined;
  const step = steps.map(fieldsOf).find(({ type }) => type === "TemplateProcessing");
  const single: unknown = step?.["single"];
  return Array.isArray(single) ? single : undefined;
}

/** A token's text, given by itself or with its flags. */
function textOf(value: unknown): string | undefined {
  const text = typeof value === "string" ? value : fieldsOf(value)["content"];
  return typeof text === "string" ? text : undefined;
}

function inRange(value: unknown, size: number): number | undefined {
  const id: unknown = Array.isArray(value) ? value[0] : value;
  const valid = typeof id === "number" && Number.isSafeInteger(id) && id >= 0 && id < size;
  return valid ? id : undefined;
}
