// The tokenizer of a published model: tokenizer.json run by Hugging Face's JavaScript library, with
// added tokens, their protection and decoding done here. Ids as transformers gives them.
// Browser and Node; it reads no files (node-tokenizer.ts does).
import { Tokenizer } from "@huggingface/tokenizers";
import { InputError, messageOf } from "@manyhands/base/errors";
import { type AddedToken, AddedTokenFinder } from "./added-tokens.ts";
import { ChatTemplate } from "./chat-template.ts";
import type {
  DecodeOptions,
  EncodeOptions,
  MarkedIds,
  TextStream,
  TextTokenizer,
} from "./text-tokenizer.ts";
import { DecodedStream, type PieceDecoder, pieceBytes, pieceDecoder } from "./token-text.ts";
import {
  addedToken,
  isRecord,
  type Json,
  parseObject,
  parseTokenizerJson,
} from "./tokenizer-json.ts";

export type TokenizerFiles = {
  /** tokenizer.json */
  readonly tokenizer: string;
  /** tokenizer_config.json, where there is one. */
  readonly config?: string | undefined;
  /** chat_template.jinja, where there is one; it goes before the one in the config. */
  readonly chatTemplate?: string | undefined;
};

/** ▁ stands for a space before a word. */
const MARKED_WORDS = /▁*[^▁]+|▁+/gu;
const PAST_WORD = /[^▁]▁/u;

const NAMED = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token"];

type Around = { readonly before: readonly number[]; readonly after: readonly number[] };

const NOTHING: Around = { before: [], after: [] };

/** A piece of text that is no added token, and whether the text begins with it. */
type Plain = { readonly text: string; readonly first: boolean };

export class ModelTokenizer implements TextTokenizer {
  readonly kind = "model";
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number;
  readonly chat: ChatTemplate | undefined;
  readonly #library: Tokenizer;
  readonly #idOf: ReadonlyMap<string, number>;
  readonly #unknownId: number | undefined;
  readonly #controls: ReadonlyMap<number, AddedToken>;
  readonly #pieces: readonly string[];
  readonly #before: AddedTokenFinder;
  readonly #after: AddedTokenFinder;
  readonly #around: Around;
  /** No piece goes on into the next word, so that words can be taken one by one. */
  readonly #cutsAtMarks: boolean;
  readonly #decoder: PieceDecoder;
  /** The same as tokenizer.json describes it. */
  readonly #decoding: unknown;

  /** @throws InputError saying which part of which file is missing, unsound or unsupported */
  constructor(files: TokenizerFiles) {
    const config = files.config ? parseObject(files.config, "tokenizer_config.json") : {};
    const names = namedTokens(config);
    const parts = parseTokenizerJson(files.tokenizer, new Set(Object.values(names)));
    this.#library = libraryTokenizer(parts.pipeline);
    const { model, normalizer } = this.#library;
    if (!model) throw new InputError("tokenizer.json has no model", { hint: "fetch it again" });
    this.#idOf = model.tokens_to_ids;
    this.#unknownId = model.unk_token_id;
    const added = withConfigTokens(parts.added, config, new Set(Object.values(names)));
    const pieces = [...model.vocab];
    const written = (token: AddedToken): string =>
      token.normalized && normalizer ? normalizer(token.content) : token.content;
    for (const token of added) pieces[token.id] = written(token);
    this.#pieces = pieces;
    this.vocabSize = pieces.length;
    this.#controls = new Map(added.flatMap((each) => (each.control ? [[each.id, each]] : [])));
    const finder = (normalized: boolean): AddedTokenFinder =>
      new AddedTokenFinder(
        added.filter((token) => token.normalized === normalized).map((t) => [written(t), t]),
      );
    this.#before = finder(false);
    this.#after = finder(true);
    this.#cutsAtMarks = keepsWords(parts.pipeline["model"]);
    this.#decoder = pieceDecoder(parts.decoder);
    this.#decoding = parts.decoder;
    const idOf = (content: string | undefined): number | undefined =>
      content === undefined
        ? undefined
        : (added.find((token) => token.content === content)?.id ?? this.#idOf.get(content));
    this.#around = aroundText(parts.postProcessor, idOf);
    this.bosId = idOf(names["bos_token"]);
    this.eosId = idOf(names["eos_token"]);
    this.padId = idOf(names["pad_token"]) ?? this.eosId ?? 0;
    const template = files.chatTemplate ?? templateIn(config);
    const controls = [...this.#controls.values()].map((token) => token.content);
    this.chat = template === undefined ? undefined : new ChatTemplate(template, names, controls);
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    return this.encodeMarked(text, [], options).ids;
  }

  encodeMarked(text: string, marks: readonly number[], options: EncodeOptions = {}): MarkedIds {
    const { before, after } = options.wrap === true ? this.#around : NOTHING;
    const ids = [...before];
    const at: number[] = [];
    let first = options.continues !== true;
    for (const section of this.#before.split(text.toWellFormed(), options.author === "control")) {
      const plain = { text: section.text, first };
      const own = section.token ? [section.token.id] : this.#normalised(plain, options);
      for (let mark = marks[at.length]; mark !== undefined; mark = marks[at.length]) {
        if (mark >= section.start + section.text.length) break;
        const head = section.text.slice(0, Math.max(0, mark - section.start));
        const cut = section.token ? [] : this.#normalised({ text: head, first }, options);
        at.push(ids.length + this.#tokensWithin(own, this.#bytesOf(cut)));
      }
      append(ids, own);
      first = false;
    }
    while (at.length < marks.length) at.push(ids.length);
    append(ids, after);
    return { ids, at };
  }

  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const kept = Array.from(ids).filter((id) => !options.skipControl || !this.#controls.has(id));
    // A model has more rows than its tokenizer has tokens: such an id stands for no text.
    return this.#decoder(kept.flatMap((id) => this.#pieces[id] ?? []));
  }

  stream(): TextStream {
    return new DecodedStream((ids) => this.decode(ids));
  }

  /** How many of these tokens lie within so many bytes of the text that they stand for. */
  #tokensWithin(ids: readonly number[], bytes: number): number {
    let [count, used] = [0, 0];
    for (const id of ids) {
      used += this.#bytesOf([id]);
      if (used > bytes) return count;
      count += 1;
    }
    return count;
  }

  #bytesOf(ids: readonly number[]): number {
    return ids.reduce((sum, id) => sum + pieceBytes(this.#pieces[id] ?? "", this.#decoding), 0);
  }

  #normalised(plain: Plain, options: EncodeOptions): number[] {
    const { normalizer } = this.#library;
    if (plain.text === "") return [];
    const text = normalizer ? normalizer(plain.text) : plain.text;
    const ids: number[] = [];
    let first = plain.first;
    for (const section of this.#after.split(text, options.author === "control")) {
      const { guard } = options;
      const words = guard === undefined ? section.text : section.text.replaceAll(guard, "");
      if (section.token) ids.push(section.token.id);
      else append(ids, this.#letters({ text: words, first }));
      first = false;
    }
    return ids;
  }

  /** Text without added tokens: never a control token, whatever the vocabulary's merges say. */
  #letters({ text, first }: Plain): number[] {
    const { pre_tokenizer: cut, model } = this.#library;
    const cuts: readonly string[] = cut ? cut(text, { section_index: first ? 0 : 1 }) : [text];
    const words = this.#cutsAtMarks ? cuts.flatMap((each) => each.match(MARKED_WORDS) ?? []) : cuts;
    const ids: number[] = [];
    for (const piece of model?.(words) ?? []) {
      const id = this.#idOf.get(piece) ?? this.#unknownId;
      if (id === undefined) continue;
      if (!this.#controls.has(id) || id === this.#unknownId) ids.push(id);
      else append(ids, this.#spelt(piece));
    }
    return ids;
  }

  /** A piece that would be a control token, letter by letter. */
  #spelt(piece: string): number[] {
    const { model } = this.#library;
    const pieces = [...piece].flatMap((letter) => model?.([letter]) ?? []);
    return pieces.flatMap((each) => this.#idOf.get(each) ?? this.#unknownId ?? []);
  }
}

function append(ids: number[], more: readonly number[]): void {
  for (const id of more) ids.push(id);
}

function libraryTokenizer(pipeline: Json): Tokenizer {
  try {
    return new Tokenizer(pipeline, {});
  } catch (cause) {
    throw new InputError(`tokenizer.json cannot be used: ${messageOf(cause)}`, {
      cause,
      hint: "fetch the model again; a tokenizer of an unusual kind is not supported",
    });
  }
}

/**
 * Is there a mark before words, and no merge that joins a word's end to the next one's mark? Then
 * merging word by word gives the same as merging a whole text, many times faster.
 */
function keepsWords(model: unknown): boolean {
  if (!isRecord(model) || model["ignore_merges"] === true) return false;
  const merges: readonly unknown[] = Array.isArray(model["merges"]) ? model["merges"] : [];
  let marked = false;
  for (const merge of merges) {
    const joined = Array.isArray(merge) ? merge.join("") : String(merge).replace(" ", "");
    if (PAST_WORD.test(joined)) return false;
    marked ||= joined.includes("▁");
  }
  return marked;
}

/** What tokenizer_config.json calls the control tokens: "bos_token" and so on, as text. */
function namedTokens(config: Json): { readonly [name: string]: string } {
  const names: { [name: string]: string } = {};
  for (const name of NAMED) {
    const value = config[name];
    const content = isRecord(value) ? value["content"] : value;
    if (typeof content === "string") names[name] = content;
  }
  return names;
}

/** The added tokens, with those that only tokenizer_config.json lists. */
function withConfigTokens(
  added: readonly AddedToken[],
  config: Json,
  names: ReadonlySet<string>,
): readonly AddedToken[] {
  const known = new Set(added.map((token) => token.id));
  const listed = isRecord(config["added_tokens_decoder"]) ? config["added_tokens_decoder"] : {};
  const more = Object.entries(listed).flatMap(([id, entry]) =>
    isRecord(entry) && !known.has(Number(id))
      ? [addedToken({ ...entry, id: Number(id) }, names)]
      : [],
  );
  return [...added, ...more];
}

/** What the post-processor puts before and after one text, found by giving it a text. */
function aroundText(config: unknown, idOf: (content: string) => number | undefined): Around {
  if (!isRecord(config)) return { before: [], after: [] };
  const steps = config["type"] === "Sequence" ? config["processors"] : [config];
  const around: { before: number[]; after: number[] } = { before: [], after: [] };
  for (const step of Array.isArray(steps) ? steps : []) {
    if (!isRecord(step) || step["type"] === "ByteLevel") continue;
    if (step["type"] !== "TemplateProcessing" || !Array.isArray(step["single"])) {
      throw new InputError(
        `tokenizer.json: no post-processor of type ${JSON.stringify(step["type"])}`,
        { hint: "ByteLevel and TemplateProcessing are known" },
      );
    }
    let side: "before" | "after" = "before";
    for (const part of step["single"]) {
      const special = isRecord(part) ? part["SpecialToken"] : undefined;
      const id = isRecord(special) ? idOf(String(special["id"])) : undefined;
      if (id !== undefined) around[side].push(id);
      else side = "after";
    }
  }
  return around;
}

/** The config's chat template: a text, or the one called "default" of several. */
function templateIn(config: Json): string | undefined {
  const value = config["chat_template"];
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.filter(isRecord).find((each) => each["name"] === "default");
  return typeof named?.["template"] === "string" ? named["template"] : undefined;
}
