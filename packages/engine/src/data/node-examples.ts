// Data files from disk as a stream of examples: a file is never held as a whole. Node only.
// It knows lines and their numbers; what a line means is examples.ts's.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { TextDecoder } from "node:util";
import { compareText } from "@manyhands/base/bytes";
import { InputError, messageOf } from "@manyhands/base/errors";
import { err, ok } from "@manyhands/base/result";
import { parseExample, type ReadExample } from "./examples.ts";

/** What a card says of a data file. */
export type DataFileFacts = {
  readonly name: string;
  readonly format: "text" | "jsonl";
  readonly bytes: number;
  readonly lines: number;
  readonly sha256: string;
};

type Line = { readonly bytes: Uint8Array | undefined; readonly number: number };

const FORMATS: { readonly [ending: string]: DataFileFacts["format"] } = {
  ".txt": "text",
  ".text": "text",
  ".md": "text",
  ".jsonl": "jsonl",
  ".ndjson": "jsonl",
};
const LINE_BREAK = 10;
/** A longer line is not held in memory: it is a bad one. */
const LINE_BYTES_MAX = 1 << 24;
/** A text is handed on in parts of about this size, cut where a line begins with a letter. */
const PART_CHARS = 1 << 18;
const LINE_START = /\n(?=[^\s])/g;

/**
 * The files that are meant: a file, or the data files in a folder, sorted by name.
 *
 * @throws InputError if there is none, or one of an unknown kind
 */
export async function dataFilesAt(path: string): Promise<string[]> {
  const kind = await stat(path).catch((cause: unknown) => {
    throw new InputError(`data: there is no ${path}`, {
      cause,
      hint: "name a .txt or .jsonl file",
    });
  });
  if (!kind.isDirectory()) {
    if (kind.size === 0) {
      throw new InputError(`data: ${path} is empty`, { hint: "name a file with text in it" });
    }
    formatOf(path);
    return [path];
  }
  const names = (await readdir(path)).filter((name) => extname(name).toLowerCase() in FORMATS);
  const found = names.filter((name) => !name.startsWith(".")).sort(compareText);
  if (found.length > 0) return found.map((name) => join(path, name));
  throw new InputError(`data: ${path} has no .txt or .jsonl file`, {
    hint: "name a .txt or .jsonl file, or a folder with some",
  });
}

/**
 * A file's examples in order; its facts when all are read.
 *
 * @throws InputError if the file cannot be read, or a text file is no UTF-8
 */
export async function* readExamples(path: string): AsyncGenerator<ReadExample, DataFileFacts> {
  const format = formatOf(path);
  const hash = createHash("sha256");
  const counts = { bytes: 0, lines: 0 };
  const chunks = hashed(path, (chunk) => {
    hash.update(chunk);
    counts.bytes += chunk.length;
  });
  const name = basename(path);
  try {
    if (format === "jsonl") counts.lines = yield* jsonLines(chunks, name);
    else counts.lines = yield* textParts(chunks, name);
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new InputError(`data: cannot read ${path}: ${messageOf(cause)}`, {
      cause,
      hint: "check the file and its permissions",
    });
  }
  return { name, format, ...counts, sha256: hash.digest("hex") };
}

function formatOf(path: string): DataFileFacts["format"] {
  const format = FORMATS[extname(path).toLowerCase()];
  if (format !== undefined) return format;
  throw new InputError(`data: ${basename(path)} is of no kind that is known`, {
    hint: "data is .txt (plain text) or .jsonl (one JSON object per line)",
  });
}

async function* hashed(path: string, seen: (chunk: Buffer) => void): AsyncGenerator<Buffer> {
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    seen(bytes);
    yield bytes;
  }
}

async function* jsonLines(
  chunks: AsyncIterable<Buffer>,
  file: string,
): AsyncGenerator<ReadExample, number> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let count = 0;
  for await (const { bytes, number } of linesOf(chunks)) {
    count = number;
    const bad = (reason: string): ReadExample => ({ file, line: number, example: err(reason) });
    if (bytes === undefined) {
      yield bad(`is longer than ${LINE_BYTES_MAX} bytes`);
      continue;
    }
    let line: string;
    try {
      line = decoder.decode(bytes).trim();
    } catch {
      yield bad("is no UTF-8");
      continue;
    }
    if (line !== "") yield { file, line: number, example: parseExample(line) };
  }
  return count;
}

/** Lines with their numbers; of one that is too long, the number only. */
async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let size = 0;
  let number = 1;
  const add = (part: Buffer): void => {
    size += part.length;
    if (size <= LINE_BYTES_MAX) parts.push(part);
    else parts = [];
  };
  const take = (): Line => {
    const line = { bytes: size <= LINE_BYTES_MAX ? Buffer.concat(parts) : undefined, number };
    [parts, size] = [[], 0];
    number += 1;
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(LINE_BREAK); end >= 0; end = chunk.indexOf(LINE_BREAK, from)) {
      add(chunk.subarray(from, end));
      yield take();
      from = end + 1;
    }
    add(chunk.subarray(from));
  }
  if (size > 0) yield take();
}

/** A text as one document, in parts. */
async function* textParts(
  chunks: AsyncIterable<Buffer>,
  file: string,
): AsyncGenerator<ReadExample, number> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let held = "";
  let line = 1;
  let continues = false;
  const part = (text: string): ReadExample => {
    const example = ok({ kind: "text", text, continues } as const);
    const found = { file, line, example };
    line += text.split("\n").length - 1;
    continues = true;
    return found;
  };
  for await (const chunk of chunks) {
    held += decoded(decoder, chunk, { file, line });
    if (held.length < PART_CHARS) continue;
    const end = lastLineStart(held);
    yield part(held.slice(0, end));
    held = held.slice(end);
  }
  held += decoded(decoder, undefined, { file, line });
  if (held !== "") yield part(held);
  return held.endsWith("\n") ? line - 1 : line;
}

function decoded(
  decoder: TextDecoder,
  chunk: Buffer | undefined,
  { file, line }: { readonly file: string; readonly line: number },
): string {
  try {
    return chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode();
  } catch (cause) {
    throw new InputError(`data: ${file} is no UTF-8 text (after line ${line})`, {
      cause,
      hint: "convert it: iconv -f latin1 -t utf8 old.txt > new.txt",
    });
  }
}

/** Where the last line that begins with a letter or a sign starts: no tokenizer joins over that. */
function lastLineStart(text: string): number {
  let found = text.length;
  for (const match of text.matchAll(LINE_START)) found = match.index + 1;
  return found;
}
