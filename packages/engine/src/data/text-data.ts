// Examples made tokens: what of each is to be learnt, and which are held out for validation.
// Browser and Node: it reads no files (node-text-data.ts does).
import { InputError } from "@manyhands/base/errors";
import { err, ok, type Result } from "@manyhands/base/result";
import { ChatError, type Conversation } from "../tokenizer/chat-template.ts";
import type { Author, TextTokenizer } from "../tokenizer/text-tokenizer.ts";
import type { BadLine, Example, ReadExample } from "./examples.ts";
import { epochWord } from "./permutation.ts";
import { type Layout, TextBatches } from "./text-batches.ts";
import { type Document, TokenStore } from "./token-store.ts";

/** assistant: what the assistant or the completion says. all: every token but BOS. */
export type Loss = "assistant" | "all";

export type TextDataOptions = {
  readonly tokenizer: TextTokenizer;
  /** T: tokens of a row. */
  readonly sequence: number;
  readonly layout: Layout;
  readonly loss: Loss;
  readonly seed: number;
  /** The share that is held out, 0 … 0.5. */
  readonly validationShare: number;
  /** Whether control tokens may be written in the data. "text" unless told. */
  readonly author?: Author;
  /** A bad line ends it. */
  readonly strict?: boolean;
};

export type TextFacts = {
  readonly documents: number;
  readonly tokens: number;
  /** Tokens that are to be predicted. */
  readonly counted: number;
  readonly validationDocuments: number;
  readonly validationTokens: number;
  readonly badLineCount: number;
  /** The first of them. */
  readonly badLines: readonly BadLine[];
};

export type TextData = {
  readonly train: TextBatches;
  /** Absent if nothing is held out. */
  readonly validation: TextBatches | undefined;
  readonly facts: TextFacts;
};

const BAD_LINES_KEPT = 20;

/**
 * One document's tokens: [BOS] text EOS, a rendered conversation, or [BOS] prompt completion EOS.
 * BOS is never learnt.
 *
 * @returns a reason where there is nothing to learn
 */
export function documentOf(
  example: Example,
  options: Pick<TextDataOptions, "tokenizer" | "loss" | "author">,
): Result<Document, string> {
  const { tokenizer, loss } = options;
  const author = options.author ?? "text";
  if (example.kind === "chat") return chatDocument(example.conversation, options);
  if (example.kind === "text") {
    const continues = example.continues === true;
    const ids = tokenizer.encode(example.text, { author, wrap: !continues, continues });
    return ok({ ids, counted: ids.map((id) => id !== tokenizer.bosId) });
  }
  const { prompt, completion } = example;
  const marks = [prompt.length];
  const marked = tokenizer.encodeMarked(prompt + completion, marks, { author, wrap: true });
  const from = loss === "all" ? 0 : (marked.at[0] ?? 0);
  const { ids } = marked;
  return ok({ ids, counted: ids.map((id, i) => i >= from && id !== tokenizer.bosId) });
}

function chatDocument(
  conversation: Conversation,
  { tokenizer, loss, author }: Pick<TextDataOptions, "tokenizer" | "loss" | "author">,
): Result<Document, string> {
  const { chat } = tokenizer;
  if (!chat) {
    throw new InputError("the data has conversations, but the model has no chat template", {
      hint: "give one with --chat-template FILE, or fine-tune the model's -instruct sibling",
    });
  }
  try {
    const { text, counted, guard } = chat.renderCounted(conversation, author !== "control");
    // The template itself writes control tokens; what a message spells has the guard.
    const options = { author: "control", guard } as const;
    const { ids, at } = tokenizer.encodeMarked(text, counted.flat(), options);
    if (loss === "all") return ok({ ids, counted: ids.map((id) => id !== tokenizer.bosId) });
    const learnt = ids.map(() => false);
    for (let i = 0; i < at.length; i += 2) learnt.fill(true, at[i], at[i + 1]);
    return learnt.includes(true) ? ok({ ids, counted: learnt }) : err("has no assistant's turn");
  } catch (caught) {
    if (caught instanceof ChatError) return err(caught.message);
    if (caught instanceof RangeError) return err("is nested too deeply");
    throw caught;
  }
}

/** Collects examples as they are read, and then gives the batches. */
export class TextDataBuilder {
  readonly #options: TextDataOptions;
  readonly #train = new TokenStore();
  readonly #validation = new TokenStore();
  readonly #bad: BadLine[] = [];
  /** One document of so many is held out; 0: none. */
  readonly #group: number;
  #badCount = 0;
  #documents = 0;
  /** Where the document that may go on is. */
  #open: TokenStore | undefined;

  constructor(options: TextDataOptions) {
    this.#options = options;
    const { validationShare } = options;
    this.#group = validationShare > 0 ? Math.max(2, Math.round(1 / validationShare)) : 0;
  }

  /** What has been read so far, held out or not. */
  get read(): { readonly documents: number; readonly tokens: number } {
    return { documents: this.#documents, tokens: this.#train.size + this.#validation.size };
  }

  /** @throws InputError for a bad line, if strict */
  add({ file, line, example }: ReadExample): void {
    const document = example.ok ? documentOf(example.value, this.#options) : example;
    if (!document.ok) {
      this.#addBad({ file, line, reason: document.error });
      return;
    }
    const continues = example.ok && example.value.kind === "text" && example.value.continues;
    if (continues === true && this.#open) {
      this.#open.push(document.value, true);
      return;
    }
    this.#end();
    const store = this.#isHeldOut() ? this.#validation : this.#train;
    this.#documents += 1;
    store.push(document.value);
    this.#open = store;
    if (!example.ok || example.value.kind === "chat") this.#open = undefined;
  }

  /** @throws InputError if there is nothing to learn */
  build(): TextData {
    this.#end();
    const [train, validation] = [this.#train, this.#validation];
    if (this.#documents === 0) {
      const [first] = this.#bad;
      const why = first ? `; ${first.file}, line ${first.line}: ${first.reason}` : "";
      throw new InputError(`the data has no line to learn from${why}`, {
        hint: 'a line is {"text": …}, {"messages": […]} or {"prompt": …, "completion": …}',
      });
    }
    const held = this.#group > 0 && validation.size === 0 ? this.#cutValidation() : validation;
    const { sequence, layout, seed, tokenizer } = this.#options;
    const shape = { sequence, layout, seed, padId: tokenizer.padId };
    return {
      train: new TextBatches({ ...shape, store: train }),
      validation: held.countedTotal > 0 ? new TextBatches({ ...shape, store: held }) : undefined,
      facts: {
        documents: this.#documents,
        tokens: train.size,
        counted: train.countedTotal,
        validationDocuments: held.starts.length,
        validationTokens: held.size,
        badLineCount: this.#badCount,
        badLines: this.#bad,
      },
    };
  }

  /** In every group of documents the seed says which one is held out. */
  #isHeldOut(): boolean {
    if (this.#group === 0) return false;
    const group = Math.floor(this.#documents / this.#group);
    return this.#documents % this.#group === epochWord(this.#options.seed, group) % this.#group;
  }

  /** Few documents: the last of them are held out; of one, its last tokens. */
  #cutValidation(): TokenStore {
    const { starts, size } = this.#train;
    const count = Math.ceil(starts.length * this.#options.validationShare);
    const last = starts.length > 1 ? starts.at(-count) : undefined;
    const share = Math.floor(size * (1 - this.#options.validationShare));
    const place = last !== undefined && last > 0 ? last : share;
    return place > 0 && place < size ? this.#train.cut(place) : new TokenStore();
  }

  /** A document that may have gone on has ended: EOS, or a new line where there is no EOS. */
  #end(): void {
    const { eosId, kind, encode } = this.#options.tokenizer;
    const store = this.#open;
    this.#open = undefined;
    if (!store) return;
    const [last] = kind === "bytes" ? encode("\n") : [eosId];
    if (last === undefined || store.view().tokens.at(-1) === last) return;
    store.push({ ids: [last], counted: [true] }, true);
  }

  #addBad(bad: BadLine): void {
    if (this.#options.strict === true) {
      throw new InputError(`${bad.file}, line ${bad.line}: ${bad.reason}`, {
        hint: "mend the line, or leave out --strict to go on without it",
      });
    }
    this.#badCount += 1;
    if (this.#bad.length < BAD_LINES_KEPT) this.#bad.push(bad);
  }
}
