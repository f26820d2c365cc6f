// What must not be written: each ban names the rule, where it holds and what to do instead.
import {
  isBinaryExpression,
  isCallExpression,
  isClassDeclaration,
  isExportAssignment,
  isExportDeclaration,
  isNewExpression,
  isPropertyAccessExpression,
  isRegularExpressionLiteral,
  isStringLiteral,
  type Node,
  SyntaxKind,
} from "typescript/unstable/ast";
import { lineAt, lineOf, type Source, walk } from "./parse.ts";
import { ERROR_ROOTS, EXACT_MATH, PURE, type Rule, SEEDED } from "./policy.ts";
import { areaOf, type Finding, isPackageSource, isTest } from "./tree.ts";

type Hit = { readonly rule: Rule; readonly message: string };
type Place = {
  readonly path: string;
  readonly isProduct: boolean;
  readonly isTest: boolean;
  readonly area: string;
};

export function checkBans(source: Source): Finding[] {
  const { path } = source;
  const test = isTest(path);
  const isProduct = isPackageSource(path) && !test;
  const place: Place = { path, isProduct, isTest: test, area: areaOf(path) };
  const findings: Finding[] = [];
  walk(source.ast, (node) => {
    for (const ban of NODE_BANS) {
      const hit = ban(node, place);
      if (hit) findings.push({ ...hit, path, line: lineOf(source, node), severity: "error" });
    }
  });
  return [...findings, ...commentFindings(source)];
}

type NodeBan = (node: Node, place: Place) => Hit | undefined;

const NODE_BANS: readonly NodeBan[] = [
  (node) =>
    node.kind === SyntaxKind.AnyKeyword
      ? { rule: "any", message: "say what it is, or `unknown` and a check" }
      : undefined,
  (node, place) =>
    node.kind === SyntaxKind.NonNullExpression && !place.isTest
      ? { rule: "non-null", message: "use defined() of base/assert, or a check" }
      : undefined,
  (node) =>
    isExportDeclaration(node) &&
    (!node.exportClause || node.exportClause.kind === SyntaxKind.NamespaceExport)
      ? { rule: "export-star", message: "export by name" }
      : undefined,
  (node) =>
    isExportAssignment(node) || isDefaultExport(node)
      ? { rule: "export-default", message: "export by name" }
      : undefined,
  (node, place) =>
    isMemberOf(node, "console") && place.isProduct && place.area !== "cli"
      ? { rule: "console", message: "return the fact, or call a reporter that the caller gives" }
      : undefined,
  clockBan,
  chanceBan,
  mathBan,
  (node) =>
    isCallExpression(node) && node.arguments.length === 0 && isSortCall(node.expression)
      ? { rule: "sort-order", message: "pass a comparator, such as compareText of base/bytes" }
      : undefined,
  errorBan,
  (node, place) =>
    isCallExpression(node) &&
    place.isTest &&
    /^(?:test|it|describe|suite)\.only$/.test(callee(node))
      ? { rule: "test-only", message: "remove .only: it leaves the other tests out" }
      : undefined,
];

function isDefaultExport(node: Node): boolean {
  const { modifiers } = node as { modifiers?: readonly Node[] };
  return modifiers?.some((modifier) => modifier.kind === SyntaxKind.DefaultKeyword) ?? false;
}

function isMemberOf(node: Node, object: string): boolean {
  return isPropertyAccessExpression(node) && node.expression.getText() === object;
}

function isSortCall(expression: Node): boolean {
  return isPropertyAccessExpression(expression) && /^(?:sort|toSorted)$/.test(expression.name.text);
}

function callee(node: Node): string {
  return isCallExpression(node) || isNewExpression(node) ? node.expression.getText() : "";
}

function clockBan(node: Node, place: Place): Hit | undefined {
  if (!place.isProduct || !SEEDED.includes(place.area)) return undefined;
  const isClock =
    (isNewExpression(node) && callee(node) === "Date") ||
    (isCallExpression(node) && /^(?:Date|Date\.now|performance\.now)$/.test(callee(node)));
  return isClock ? { rule: "clock", message: "take the time as an argument" } : undefined;
}

function chanceBan(node: Node, place: Place): Hit | undefined {
  if (!place.isProduct || !SEEDED.includes(place.area) || !isCallExpression(node)) return undefined;
  const isChance = /^(?:Math\.random|crypto\.(?:getRandomValues|randomUUID)|randomBytes)$/;
  return isChance.test(callee(node))
    ? { rule: "chance", message: "take a Random of base/random, or its seed, as an argument" }
    : undefined;
}

function mathBan(node: Node, place: Place): Hit | undefined {
  if (!place.isProduct || !PURE.includes(place.area)) return undefined;
  if (isMemberOf(node, "Math") && isPropertyAccessExpression(node)) {
    const { text } = node.name;
    if (EXACT_MATH.includes(text) || text === "random") return undefined;
    return { rule: "inexact-math", message: `Math.${text} differs between engines` };
  }
  const isPower =
    isBinaryExpression(node) &&
    (node.operatorToken.kind === SyntaxKind.AsteriskAsteriskToken ||
      node.operatorToken.kind === SyntaxKind.AsteriskAsteriskEqualsToken);
  if (!isPower || isExactPower(node.left, node.right)) return undefined;
  return { rule: "inexact-math", message: "** differs between engines: multiply instead" };
}

/** 2 ** 24 and 7n ** 3n: powers that no engine rounds. */
function isExactPower(base: Node, exponent: Node): boolean {
  if (base.kind === SyntaxKind.BigIntLiteral) return true;
  return base.getText() === "2" && /^-?\d+$/.test(exponent.getText());
}

function errorBan(node: Node, place: Place): Hit | undefined {
  if (!place.isProduct || ERROR_ROOTS.includes(place.path)) return undefined;
  const plain = /^(?:Error|TypeError|RangeError|AggregateError)$/;
  const message = "a class that extends ManyhandsError with a hint; a bug is an assert";
  if (isNewExpression(node) && plain.test(callee(node))) return { rule: "plain-error", message };
  const parents = isClassDeclaration(node) ? (node.heritageClauses ?? []) : [];
  const extendsPlain = parents.some((clause) =>
    clause.types.some((t) => plain.test(t.expression.getText())),
  );
  return extendsPlain ? { rule: "plain-error", message } : undefined;
}

/** The text with every literal's content blanked, so that what is left is code and comments. */
function withoutLiterals(source: Source): string {
  const spans: [number, number][] = [];
  walk(source.ast, (node) => {
    const isText =
      isStringLiteral(node) ||
      isRegularExpressionLiteral(node) ||
      node.kind === SyntaxKind.NoSubstitutionTemplateLiteral ||
      node.kind === SyntaxKind.TemplateHead ||
      node.kind === SyntaxKind.TemplateMiddle ||
      node.kind === SyntaxKind.TemplateTail;
    if (isText) spans.push([node.getStart(source.ast), node.getEnd()]);
  });
  let out = "";
  let at = 0;
  for (const [start, end] of spans.sort((a, b) => a[0] - b[0])) {
    out += source.text.slice(at, start) + source.text.slice(start, end).replace(/[^\n]/g, "_");
    at = end;
  }
  return out + source.text.slice(at);
}

const COMMENT = /\/\/[^\n]*|\/\*[\s\S]*?\*\//g;

type CommentBan = { readonly pattern: RegExp } & Hit;

const COMMENT_BANS: readonly CommentBan[] = [
  { pattern: /\b(?:TODO|FIXME|XXX)\b/, rule: "unfinished", message: "finish it, or file an issue" },
  {
    pattern: /@ts-(?:ignore|nocheck)|eslint-disable/,
    rule: "suppression",
    message: "mend the cause; in a test of types, @ts-expect-error",
  },
  {
    pattern: /biome-ignore(?:-\w+)?\s+\S+?:?\s*(?:<[^>]*>\s*)?(?:\*\/)?$/,
    rule: "suppression",
    message: "say why after a colon: biome-ignore lint/group/rule: the reason",
  },
  {
    pattern: /tidy-ignore(?!\s+[a-z-]+: \S)/,
    rule: "suppression",
    message: "say which rule and why: tidy-ignore rule-name: the reason",
  },
];

function commentFindings(source: Source): Finding[] {
  const blanked = withoutLiterals(source);
  const findings: Finding[] = [];
  for (const match of blanked.matchAll(COMMENT)) {
    const firstLine = lineAt(source, match.index);
    for (const [offset, text] of match[0].split("\n").entries()) {
      for (const { pattern, rule, message } of COMMENT_BANS) {
        if (!pattern.test(text.trimEnd())) continue;
        findings.push({
          path: source.path,
          line: firstLine + offset,
          rule,
          message,
          severity: "error",
        });
      }
    }
  }
  return [...findings, ...skippedTests(source, blanked)];
}

/** A skipped test needs its reason beside it: on the line, or in a comment above. */
function skippedTests(source: Source, blanked: string): Finding[] {
  if (!isTest(source.path)) return [];
  return blanked.split("\n").flatMap((line, index, lines) => {
    if (!/\b(?:test|it|describe|suite|t)\.skip\(/.test(line)) return [];
    if (/\/\//.test(line) || /^\s*(?:\/\/|\*)/.test(lines[index - 1] ?? "")) return [];
    const message = "say why in a comment: what is missing and what it would test";
    return [{ path: source.path, line: index + 1, rule: "test-only", message, severity: "error" }];
  });
}

const MACHINE_PATHS: readonly RegExp[] = [
  /(?:^|[\s"'`(=:])\/(?:home|Users|root|work)\/\w/,
  /\b[A-Z]:\\\\?Users\b/,
  /\.\.\/shared\//,
];

/** Paths that exist on one machine only, in any text of the repository. */
export function checkPaths(path: string, text: string): Finding[] {
  return text.split("\n").flatMap((line, index) => {
    if (!MACHINE_PATHS.some((pattern) => pattern.test(line))) return [];
    const message = "a path of one machine; make it relative, an argument or os.tmpdir()";
    return [{ path, line: index + 1, rule: "machine-path", message, severity: "error" }];
  });
}
