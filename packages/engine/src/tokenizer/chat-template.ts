// Conversations in the form that a model's makers gave them: their Jinja template, rendered by
// Hugging Face's JavaScript Jinja, and which part of the result the assistant wrote.
// A template is a program of the model's publisher: it sees the conversation, and nothing else, and
// does no more than a budget allows (bounded-template.ts).
import { InputError, ManyhandsError, messageOf } from "@manyhands/base/errors";
import { BoundedTemplate, TemplateBudgetError } from "./bounded-template.ts";

/** One turn of a `messages` list. Further members (tool_calls, …) go to the template too. */
export type ChatMessage = {
  readonly role: string;
  readonly content: unknown;
  readonly [member: string]: unknown;
};

export type Conversation = {
  readonly messages: readonly ChatMessage[];
  /** Descriptions of tools, for templates that show them. */
  readonly tools?: readonly unknown[] | undefined;
};

export type RenderOptions = {
  /** Ends with the beginning of the assistant's next turn. */
  readonly generationPrompt?: boolean;
};

/** A rendered conversation, and what of it a model is to learn. */
export type RenderedChat = {
  readonly text: string;
  /** [start, end) in `text`: what the assistant wrote, with the end of its turn. */
  readonly counted: readonly (readonly [number, number])[];
  /** The character that keeps the users' words apart from control tokens; to be dropped. */
  readonly guard: string;
};

/** The template refuses this conversation, or cannot tell who wrote what. */
export class ChatError extends ManyhandsError {
  override readonly name = "ChatError";
}

/** Ten times the longest that is published. */
const TEMPLATE_CHARS_MAX = 200_000;
/** The library's reader takes the square of the time for a run of spaces. */
const SPACES_MAX = 1_000;
const GENERATION = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;
/** Unicode's noncharacters: no text means them, so one that the conversation lacks is found. */
const NONCHARACTERS = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i));
const NO_GUARD = "the conversation has every noncharacter of Unicode";
const NO_GUARD_HINT = "remove U+FDD0 to U+FDEF from it";
/** The day that Llama's templates fall back on: a rendering must not depend on when it is made. */
const DAY = {
  "%d": "26",
  "%m": "07",
  "%b": "Jul",
  "%B": "July",
  "%Y": "2024",
  "%H": "00",
  "%M": "00",
};

export class ChatTemplate {
  /** What the publisher wrote, as it is copied beside an adapter. */
  readonly source: string;
  readonly #template: BoundedTemplate;
  /** Has the template marks of its own around what the assistant writes? */
  readonly #marked: BoundedTemplate | undefined;
  readonly #tokens: { readonly [name: string]: string };
  readonly #controls: readonly string[];

  /**
   * @param source   Jinja
   * @param tokens   "bos_token", "eos_token", … as text
   * @param controls the text of every control token: what a person's words must not become
   * @throws InputError if it is no template
   */
  constructor(
    source: string,
    tokens: { readonly [name: string]: string } = {},
    controls: readonly string[] = [],
  ) {
    this.source = source;
    this.#tokens = tokens;
    // The longest first: one may be part of another.
    this.#controls = controls
      .filter((token) => token.length > 1)
      .sort((a, b) => b.length - a.length);
    this.#template = parse(source);
    this.#marked = source.search(GENERATION) < 0 ? undefined : parse(withMarks(source));
  }

  /**
   * What transformers' apply_chat_template gives with tokenize=False.
   *
   * @throws ChatError           if the template refuses the conversation
   * @throws TemplateBudgetError if it does not come to an end
   */
  render(conversation: Conversation, options: RenderOptions = {}): string {
    return this.#render(this.#template, conversation, { generationPrompt: false, ...options });
  }

  /**
   * The conversation with what the assistant wrote. The template's own marks ({% generation %}) say
   * it; without them, the text that a turn adds to its prompt does. Of a template that writes
   * earlier turns otherwise once later ones follow (leaving out reasoning), only the last counts.
   *
   * @param guarded whether control tokens in the conversation's own words get the guard
   * @throws ChatError
   */
  renderCounted(conversation: Conversation, guarded: boolean): RenderedChat {
    const free = freeCharacters(conversation);
    const [guard, open, close] = free;
    if (guard === undefined || open === undefined || close === undefined) {
      throw new ChatError(NO_GUARD, { hint: NO_GUARD_HINT });
    }
    const shown = guarded ? this.#guarded(conversation, guard) : conversation;
    if (this.#marked) return { ...this.#renderMarked(shown, open, close), guard };
    const text = this.render(shown);
    return { text, counted: this.#turns(shown, text), guard };
  }

  /**
   * The conversation up to where the assistant goes on, with the guard inside whatever the
   * conversation's own words spell of control tokens.
   *
   * @throws ChatError, TemplateBudgetError
   */
  renderPrompt(conversation: Conversation): Pick<RenderedChat, "text" | "guard"> {
    const [guard] = freeCharacters(conversation);
    if (guard === undefined) throw new ChatError(NO_GUARD, { hint: NO_GUARD_HINT });
    const shown = this.#guarded(conversation, guard);
    return { text: this.render(shown, { generationPrompt: true }), guard };
  }

  #renderMarked(shown: Conversation, open: string, close: string): Omit<RenderedChat, "guard"> {
    const template = this.#marked ?? this.#template;
    const marks = { generation_open: open, generation_close: close };
    const raw = this.#render(template, shown, { generationPrompt: false }, marks);
    const counted: [number, number][] = [];
    let text = "";
    for (const part of raw.split(open).slice(1).length > 0 ? raw.split(open) : [raw]) {
      const end = part.indexOf(close);
      if (end >= 0) counted.push([text.length, text.length + end]);
      text += part.replaceAll(close, "");
    }
    return { text, counted };
  }

  #turns(conversation: Conversation, text: string): [number, number][] {
    const { messages } = conversation;
    const places = messages.flatMap((message, i) => (message.role === "assistant" ? [i] : []));
    const last = places.at(-1);
    if (last === undefined) return [];
    const all = places.map((place) => this.#turn(conversation, place, text));
    const found = all.flatMap((span) => (span ? [span] : []));
    if (found.length === all.length) return found;
    const only = all.at(-1);
    if (only) return [only];
    throw new ChatError("the model's chat template does not show where the assistant's turn is", {
      hint: "count every token instead (--loss all), or give a template with {% generation %}",
    });
  }

  /** What the turn at `place` adds to the prompt before it, if both begin the text. */
  #turn(conversation: Conversation, place: number, text: string): [number, number] | undefined {
    const upTo = (count: number): Conversation => ({
      ...conversation,
      messages: conversation.messages.slice(0, count),
    });
    try {
      const prompt = this.render(upTo(place), { generationPrompt: true });
      const isLast = place === conversation.messages.length - 1;
      const turn = isLast ? text : this.render(upTo(place + 1));
      const fits = text.startsWith(turn) && turn.startsWith(prompt);
      return fits ? [prompt.length, turn.length] : undefined;
    } catch (caught) {
      // A template may refuse a part of what it takes as a whole.
      if (caught instanceof ChatError) return undefined;
      throw caught;
    }
  }

  #render(
    template: BoundedTemplate,
    conversation: Conversation,
    options: RenderOptions,
    marks: { readonly [name: string]: string } = {},
  ): string {
    try {
      return template.render({
        ...this.#tokens,
        ...marks,
        messages: conversation.messages,
        tools: conversation.tools ?? null,
        documents: null,
        add_generation_prompt: options.generationPrompt === true,
        fixed_strftime: (format: string) => strftime(format),
      });
    } catch (cause) {
      // Not this conversation's fault: the next one would take as long.
      if (cause instanceof TemplateBudgetError) throw cause;
      throw new ChatError(`the model's chat template refuses it: ${messageOf(cause)}`, {
        cause,
        hint: "write the roles in the order that the model knows: system, user, assistant, user, …",
      });
    }
  }

  /** The conversation with a character inside whatever reads as a control token. */
  #guarded(conversation: Conversation, guard: string): Conversation {
    const words = (text: string): string => {
      let out = text;
      for (const token of this.#controls) {
        out = out.replaceAll(token, () => token.slice(0, 1) + guard + token.slice(1));
      }
      return out;
    };
    return mapStrings(conversation, words);
  }
}

function parse(source: string): BoundedTemplate {
  if (source.length > TEMPLATE_CHARS_MAX) {
    throw new InputError(`a chat template of ${source.length} characters is too long`, {
      hint: `at most ${TEMPLATE_CHARS_MAX} characters`,
    });
  }
  if (new RegExp(`\\s{${SPACES_MAX + 1}}`).test(source)) {
    throw new InputError(
      `a chat template with more than ${SPACES_MAX} spaces in a row is refused`,
      {
        hint: "remove them, and give it with --chat-template",
      },
    );
  }
  try {
    return new BoundedTemplate(source.replace(/\bstrftime_now\b/g, "fixed_strftime"));
  } catch (cause) {
    throw new InputError(`the model's chat template cannot be read: ${messageOf(cause)}`, {
      cause,
      hint: "give another one with --chat-template",
    });
  }
}

/** {% generation %} … {% endgeneration %} as blocks that write a mark, spaced as they were. */
function withMarks(source: string): string {
  return source.replace(GENERATION, (_, left: string, end: string | undefined, right: string) => {
    const name = end === undefined ? "generation_open" : "generation_close";
    return `{%${left} if true %}{{ ${name} }}{% endif ${right}%}`;
  });
}

function strftime(format: string): string {
  return format.replace(/%[dmbBYHM]/g, (token) => new Map(Object.entries(DAY)).get(token) ?? token);
}

/** The noncharacters that occur nowhere in the conversation. */
function freeCharacters(conversation: Conversation): readonly string[] {
  const text = JSON.stringify(conversation);
  return NONCHARACTERS.filter((character) => !text.includes(character));
}

/** A copy of a JSON value with every string (not the names of members) mapped. */
function mapStrings<T>(value: T, map: (text: string) => string): T;
function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === "string") return map(value);
  if (Array.isArray(value)) return value.map((each) => mapStrings(each, map));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, mapStrings(each, map)]),
  );
}
