// The added tokens of a tokenizer.json: where they stand in a text, and which of them may be read
// out of a person's text at all. The rules are those of Hugging Face's `tokenizers` (Rust), which
// its JavaScript port leaves out in part; here they decide what can control a model.

export type AddedToken = {
  readonly id: number;
  readonly content: string;
  /** It controls: begins or ends a turn, a text, a padding. Never read out of a person's text. */
  readonly control: boolean;
  /** Only where no letter, digit or underscore touches it. */
  readonly singleWord: boolean;
  /** It swallows the white space before it (left) or after it (right). */
  readonly stripLeft: boolean;
  readonly stripRight: boolean;
  /** It is looked for after normalising, not before. */
  readonly normalized: boolean;
};

/** A stretch of text that is one added token, or has none. */
export type Section = {
  readonly text: string;
  readonly token: AddedToken | undefined;
  /** Where it begins in the text (UTF-16). */
  readonly start: number;
};

type Place = { readonly token: AddedToken; readonly start: number; readonly end: number };
type Node = { readonly next: Map<string, Node>; token: AddedToken | undefined };

const WORD = /[\p{L}\p{N}\p{M}_]/u;
const SPACE = /\p{White_Space}/u;

/** Finds some added tokens in texts: leftmost first, of those the longest. */
export class AddedTokenFinder {
  readonly #root: Node = { next: new Map(), token: undefined };

  /** @param written each token with the characters to look for: its content, or that normalised */
  constructor(written: readonly (readonly [string, AddedToken])[]) {
    for (const [characters, token] of written) {
      if (characters === "") continue;
      let node = this.#root;
      for (const unit of characters.split("")) {
        const next = node.next.get(unit) ?? { next: new Map(), token: undefined };
        node.next.set(unit, next);
        node = next;
      }
      node.token ??= token;
    }
  }

  /**
   * The text cut at its added tokens, without empty stretches.
   *
   * @param control whether control tokens count; if not, they stay part of the text around them
   */
  split(text: string, control: boolean): Section[] {
    const sections: Section[] = [];
    let done = 0;
    for (const place of this.#places(text)) {
      const { token } = place;
      if (token.control && !control) continue;
      if (token.singleWord && touchesWord(text, place)) continue;
      let { start, end } = place;
      // White space is never a pair of surrogates.
      if (token.stripLeft) while (start > done && SPACE.test(text.charAt(start - 1))) start--;
      if (token.stripRight) while (end < text.length && SPACE.test(text.charAt(end))) end++;
      if (start > done)
        sections.push({ text: text.slice(done, start), token: undefined, start: done });
      sections.push({ text: text.slice(start, end), token, start });
      done = end;
    }
    if (done < text.length)
      sections.push({ text: text.slice(done), token: undefined, start: done });
    return sections;
  }

  *#places(text: string): Generator<Place> {
    let at = 0;
    while (at < text.length) {
      const place = this.#longestAt(text, at);
      if (place) yield place;
      at = place?.end ?? at + 1;
    }
  }

  #longestAt(text: string, start: number): Place | undefined {
    let node: Node | undefined = this.#root;
    let found: Place | undefined;
    for (let end = start; node; end++) {
      if (node.token) found = { token: node.token, start, end };
      node = end < text.length ? node.next.get(text.charAt(end)) : undefined;
    }
    return found;
  }
}

function touchesWord(text: string, { start, end }: Place): boolean {
  const before = [...text.slice(Math.max(0, start - 2), start)].at(-1) ?? "";
  const [after = ""] = [...text.slice(end, end + 2)];
  return WORD.test(before) || WORD.test(after);
}
