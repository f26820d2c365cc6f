// A tokenizer against what transformers made of the same files: for the vectors, and for interop.
// It makes no expectations of its own.
import type { Conversation } from "../tokenizer/chat-template.ts";
import { ModelTokenizer, type TokenizerFiles } from "../tokenizer/model-tokenizer.ts";

type Failed = { readonly error: string };

export type Expected = {
  readonly texts: readonly {
    readonly text: string;
    /** As transformers does unless told: control tokens are read out of the text. */
    readonly ids: readonly number[];
    /** With split_special_tokens, without BOS. */
    readonly plain: readonly number[];
    readonly decoded: string;
    readonly skipped: string;
  }[];
  readonly chats: readonly (Conversation & {
    readonly rendered: string | Failed;
    readonly prompt: string | Failed;
    readonly ids: readonly number[] | null;
    /** From {% generation %}, where the template has it. */
    readonly mask: readonly number[] | null;
  })[];
  readonly broken: readonly { readonly ids: readonly number[]; readonly decoded: string }[];
};

/** Each difference, in a sentence. */
export function checkTokenizer(files: TokenizerFiles, expected: Expected): string[] {
  const tokenizer = new ModelTokenizer(files);
  const problems: string[] = [];
  const same = (what: string, ours: unknown, theirs: unknown): void => {
    const [a, b] = [JSON.stringify(ours), JSON.stringify(theirs)];
    if (a !== b) problems.push(`${what}: ${a}, transformers ${b}`);
  };
  for (const { text, ids, plain, decoded, skipped } of expected.texts) {
    const name = JSON.stringify(text).slice(0, 60);
    same(`ids of ${name}`, tokenizer.encode(text, { author: "control", wrap: true }), ids);
    same(`plain ids of ${name}`, tokenizer.encode(text), plain);
    same(`text of ${name}`, tokenizer.decode(ids), decoded);
    same(`skipped text of ${name}`, tokenizer.decode(ids, { skipControl: true }), skipped);
    same(`streamed text of ${name}`, streamed(tokenizer, ids), decoded);
  }
  for (const { ids, decoded } of expected.broken) {
    same(`broken ${ids.join()}`, tokenizer.decode(ids), decoded);
  }
  for (const [i, chat] of expected.chats.entries()) problems.push(...checkChat(tokenizer, chat, i));
  return problems;
}

function checkChat(
  tokenizer: ModelTokenizer,
  chat: Expected["chats"][number],
  i: number,
): string[] {
  const template = tokenizer.chat;
  if (!template) return [`chat ${i}: no template`];
  const { messages } = chat;
  const render = (generationPrompt: boolean): string => {
    try {
      return template.render({ messages }, { generationPrompt });
    } catch {
      return "refused";
    }
  };
  const problems: string[] = [];
  const same = (what: string, ours: unknown, theirs: unknown): void => {
    const [a, b] = [JSON.stringify(ours), JSON.stringify(theirs)];
    if (a !== b) problems.push(`chat ${i}, ${what}: ${a}, transformers ${b}`);
  };
  same("text", render(false), textOr(chat.rendered));
  same("prompt", render(true), textOr(chat.prompt));
  if (!Array.isArray(chat.ids) || typeof chat.rendered !== "string") return problems;
  same("ids", tokenizer.encode(chat.rendered, { author: "control" }), chat.ids);
  if (!Array.isArray(chat.mask)) return problems;
  const { text, counted } = template.renderCounted({ messages }, false);
  const marked = tokenizer.encodeMarked(text, counted.flat(), { author: "control" });
  const mask = marked.ids.map((_, token) =>
    counted.some((_, k) => token >= (marked.at[2 * k] ?? 0) && token < (marked.at[2 * k + 1] ?? 0)),
  );
  same("mask", mask.map(Number), chat.mask);
  return problems;
}

function textOr(value: string | Failed): string {
  return typeof value === "string" ? value : "refused";
}

function streamed(tokenizer: ModelTokenizer, ids: readonly number[]): string {
  const stream = tokenizer.stream();
  return ids.map((id) => stream.push([id])).join("") + stream.end();
}
