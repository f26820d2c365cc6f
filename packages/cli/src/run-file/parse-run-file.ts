// From YAML text to a checked run file; a mistake names the line, the field, what was found and
// what was expected. No disk: load-run-file.ts reads the file.
import { type DecodeProblem, describe, type PathStep, pathText } from "@manyhands/base/decode";
import { messageOf } from "@manyhands/base/errors";
import { err, ok, type Result } from "@manyhands/base/result";
import { checkRunRules } from "@manyhands/protocol/run-config";
import {
  type Document,
  isMap,
  isNode,
  isPair,
  isScalar,
  LineCounter,
  parseDocument,
  visit,
} from "yaml";
import { payOf, type RunFile, runFileDecoder } from "./run-file.ts";
import { nearest } from "./suggest.ts";

/** A mistake in a run file and the place that it stands at; line and column count from 1. */
export type RunFileProblem = {
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly hint: string | undefined;
};

/** A checked file, and a way to point at one of its fields later (a path that does not exist). */
export type ParsedRunFile = {
  readonly file: RunFile;
  readonly problemAt: (problem: DecodeProblem) => RunFileProblem;
};

export function parseRunFile(source: string): Result<ParsedRunFile, RunFileProblem> {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false });
  const broken = document.errors[0];
  if (broken) {
    const message = `this is not YAML: ${firstSentence(broken.message)}`;
    return err({ ...placeOf(lines, broken.pos[0]), message, hint: hintForSyntax(broken.code) });
  }
  const problemAt = (problem: DecodeProblem) => describeProblem(document, lines, problem);
  const value = plainValue(document);
  if (!value.ok) {
    const place = placeOf(lines, aliasOffset(document));
    return err({ ...place, message: `this is not YAML: ${value.error}`, hint: undefined });
  }
  const decoded = runFileDecoder(value.value);
  if (!decoded.ok) return err(problemAt(decoded.error));
  const rules = checkFileRules(decoded.value);
  if (!rules.ok) return err(problemAt(rules.error));
  return ok({ file: decoded.value, problemAt });
}

/** A model that is named is not read yet: what holds of its config, load-run-file.ts checks. */
function checkFileRules(file: RunFile): Result<null, DecodeProblem> {
  const { model, method, lora } = file;
  const wrong = (field: string, expected: string): Result<null, DecodeProblem> =>
    err({ path: [field], found: describe(file[field as "model"]), expected });
  if (typeof model === "string") {
    if (method === undefined) return wrong("method", "lora or full, for a model that is named");
    if (method === "lora" && !lora) return wrong("lora", "an object with r and loraAlpha");
    return ok(null);
  }
  if (method !== undefined) return wrong("model", "a folder or hf:org/name, for a method");
  if (lora !== undefined) return wrong("lora", "nothing, where a model is trained from nothing");
  return checkRunRules({ ...file, model, pay: payOf(file) });
}

function placeOf(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

/** The document as plain values; an alias without its anchor, or too many of them, is refused. */
function plainValue(document: Document): Result<unknown, string> {
  try {
    return ok(document.toJS({ maxAliasCount: 100 }));
  } catch (caught) {
    return err(firstSentence(messageOf(caught)));
  }
}

function aliasOffset(document: Document): number {
  let offset = 0;
  visit(document, {
    Alias(_, alias) {
      offset = alias.range?.[0] ?? 0;
      return alias.resolve(document) ? undefined : visit.BREAK;
    },
  });
  return offset;
}

/** The parser's own words without its picture of the line. */
function firstSentence(message: string): string {
  return message.split("\n")[0] ?? message;
}

function hintForSyntax(code: string): string | undefined {
  if (code === "DUPLICATE_KEY") return "Each field stands once; remove one of the two.";
  if (code === "TAB_AS_INDENT") return "Indent with spaces.";
  return undefined;
}

function describeProblem(
  document: Document,
  lines: LineCounter,
  problem: DecodeProblem,
): RunFileProblem {
  const place = placeOf(lines, offsetOf(document, problem));
  const field = problem.path.length === 0 ? "the file" : pathText(problem.path);
  if (problem.found === "an unknown field") {
    const known = problem.expected.replace(/^one of /, "").split(", ");
    const meant = nearest(String(problem.path.at(-1)), known);
    return {
      ...place,
      message: `${field}: expected a known field, found an unknown one`,
      hint: meant ? `Did you mean ${meant}?` : `Known fields: ${known.join(", ")}.`,
    };
  }
  const found = problem.found === "nothing" ? "nothing: the field is missing" : problem.found;
  return {
    ...place,
    message: `${field}: expected ${problem.expected}, found ${found}`,
    hint: undefined,
  };
}

/**
 * Where the value stands; an unknown field's own name; for a missing field, what it is missing in.
 */
function offsetOf(document: Document, problem: DecodeProblem): number {
  const wantsKey = problem.found === "an unknown field";
  for (let depth = problem.path.length; depth >= 0; depth--) {
    const path = problem.path.slice(0, depth);
    const isMissing = depth < problem.path.length;
    const offset = wantsKey || isMissing ? keyOffset(document, path) : undefined;
    const here = offset ?? valueOffset(document, path);
    if (here !== undefined) return here;
  }
  return 0;
}

function valueOffset(document: Document, path: readonly PathStep[]): number | undefined {
  const node = path.length === 0 ? document.contents : document.getIn(path, true);
  return isNode(node) ? node.range?.[0] : undefined;
}

function keyOffset(document: Document, path: readonly PathStep[]): number | undefined {
  const key = path.at(-1);
  if (typeof key !== "string") return undefined;
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(parent)) return undefined;
  const pair = parent.items.find(
    (item) => isPair(item) && isScalar(item.key) && item.key.value === key,
  );
  return pair && isScalar(pair.key) ? pair.key.range?.[0] : undefined;
}
