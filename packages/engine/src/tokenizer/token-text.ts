// From a vocabulary's pieces back to text: the decoders of tokenizer.json, with the rules of
// Hugging Face's `tokenizers` (Rust), down to what becomes of bytes that are no UTF-8.
// Written here because the JavaScript port differs in just that.
import { InputError } from "@manyhands/base/errors";
import { byteCharacters } from "./byte-characters.ts";
import type { TextStream } from "./text-tokenizer.ts";

/** Pieces to text, all at once. */
export type PieceDecoder = (pieces: readonly string[]) => string;

type Step = (pieces: readonly string[]) => readonly string[];
type Config = { readonly [key: string]: unknown };

const REPLACEMENT = "\ufffd";
const BYTE_OF = new Map(byteCharacters().map((character, byte) => [character, byte]));
const BYTE_PIECE = /^<0x([0-9A-Fa-f]{2})>$/;

/**
 * The decoder that a tokenizer.json describes.
 *
 * @param config the value of "decoder"; null: pieces with a space between
 * @throws InputError for one that no byte-pair encoding uses
 */
export function pieceDecoder(config: unknown): PieceDecoder {
  if (config === null || config === undefined) return (pieces) => pieces.join(" ");
  const step = stepOf(config);
  return (pieces) => step(pieces).join("");
}

function stepOf(value: unknown): Step {
  const config: Config = isRecord(value) ? value : {};
  switch (config["type"]) {
    case "ByteLevel":
      return byteLevel;
    case "ByteFallback":
      return byteFallback;
    case "Fuse":
      return (pieces) => [pieces.join("")];
    case "Replace":
      return replaceStep(config);
    case "Strip":
      return stripStep(config);
    case "Metaspace":
      return metaspaceStep(config);
    case "Sequence": {
      const steps = (Array.isArray(config["decoders"]) ? config["decoders"] : []).map(stepOf);
      return (pieces) => steps.reduce((done, step) => step(done), pieces);
    }
    default:
      throw new InputError(`tokenizer.json: no decoder of type ${JSON.stringify(config["type"])}`, {
        hint: "ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace and Sequence are known",
      });
  }
}

/** How many bytes of (normalised) text a piece stands for. */
export function pieceBytes(piece: string, decoder: unknown): number {
  if (isRecord(decoder) && decoder["type"] === "ByteLevel") {
    if ([...piece].every((character) => BYTE_OF.has(character))) return [...piece].length;
  } else if (BYTE_PIECE.test(piece)) return 1;
  return new TextEncoder().encode(piece).length;
}

/** Each printable character back to its byte; a piece with any other is taken as it is. */
function byteLevel(pieces: readonly string[]): readonly string[] {
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  for (const piece of pieces) {
    const values = [...piece].map((character) => BYTE_OF.get(character));
    const known = values.flatMap((value) => (value === undefined ? [] : [value]));
    bytes.push(...(known.length === values.length ? known : encoder.encode(piece)));
  }
  return [utf8Text(bytes)];
}

/** Runs of "<0xE2>" become their characters; a run that is no UTF-8, one U+FFFD per byte. */
function byteFallback(pieces: readonly string[]): readonly string[] {
  const out: string[] = [];
  let run: number[] = [];
  const flush = (): void => {
    if (run.length > 0) out.push(strictText(run) ?? REPLACEMENT.repeat(run.length));
    run = [];
  };
  for (const piece of pieces) {
    const [, hex] = BYTE_PIECE.exec(piece) ?? [];
    if (hex !== undefined) run.push(Number.parseInt(hex, 16));
    else {
      flush();
      out.push(piece);
    }
  }
  flush();
  return out;
}

function replaceStep(config: Config): Step {
  const pattern = isRecord(config["pattern"]) ? config["pattern"]["String"] : undefined;
  const content = config["content"];
  if (typeof pattern !== "string" || typeof content !== "string") {
    throw new InputError("tokenizer.json: a Replace decoder must replace a plain string", {
      hint: "expressions are not supported in decoders",
    });
  }
  return (pieces) => pieces.map((piece) => piece.replaceAll(pattern, () => content));
}

function stripStep(config: Config): Step {
  const content = String(config["content"]);
  const [start, stop] = [Number(config["start"] ?? 0), Number(config["stop"] ?? 0)];
  return (pieces) =>
    pieces.map((piece) => {
      const characters = [...piece];
      let [from, to] = [0, characters.length];
      while (from < start && characters[from] === content) from++;
      while (characters.length - to < stop && to > from && characters[to - 1] === content) to--;
      return characters.slice(from, to).join("");
    });
}

function metaspaceStep(config: Config): Step {
  const mark = String(config["replacement"] ?? "▁");
  const dropsFirst = config["prepend_scheme"] !== "never";
  return (pieces) =>
    pieces.map((piece, i) => piece.replaceAll(mark, i === 0 && dropsFirst ? "" : " "));
}

function utf8Text(bytes: readonly number[]): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

function strictText(bytes: readonly number[]): string | undefined {
  try {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
    return decoder.decode(Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Config {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * A stream over any decoder that depends on what came before: it decodes the tokens since the last
 * safe place together, and holds what ends in an unfinished character.
 */
export class DecodedStream implements TextStream {
  readonly #decode: (ids: readonly number[]) => string;
  /** Tokens whose text may still change, after a few that are settled (for what precedes). */
  #ids: number[] = [];
  #settled = 0;

  constructor(decode: (ids: readonly number[]) => string) {
    this.#decode = decode;
  }

  push(ids: ArrayLike<number>): string {
    this.#ids.push(...Array.from(ids));
    const text = this.#decode(this.#ids);
    return text.endsWith(REPLACEMENT) ? "" : this.#release(text);
  }

  end(): string {
    return this.#release(this.#decode(this.#ids));
  }

  #release(text: string): string {
    const before = this.#decode(this.#ids.slice(0, this.#settled));
    // The next text is read after these tokens, so that no decoder takes it for a beginning.
    this.#ids = this.#ids.slice(this.#settled);
    this.#settled = this.#ids.length;
    return text.slice(before.length);
  }
}
