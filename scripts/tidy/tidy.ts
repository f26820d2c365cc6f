// All chapters over one tree, and the exceptions that a comment asks for.
// Prints nothing: the command (scripts/tidy.ts) and the tests use the same function.
import { checkBans, checkPaths } from "./bans.ts";
import { checkBudgets } from "./budgets.ts";
import { checkDead } from "./dead.ts";
import { checkImports } from "./imports.ts";
import { moduleOf } from "./modules.ts";
import { parseTree } from "./parse.ts";
import { RULES, type Rule } from "./policy.ts";
import type { Finding, Tree } from "./tree.ts";

export type TidyReport = {
  readonly files: number;
  readonly findings: readonly Finding[];
  /** Findings that a `tidy-ignore rule: reason` comment excuses. */
  readonly excused: readonly Finding[];
};

export function tidy(tree: Tree): TidyReport {
  const sources = parseTree(tree);
  const modules = sources.map((source) => moduleOf(source, tree));
  const all = [
    ...sources.flatMap(checkBudgets),
    ...sources.flatMap(checkBans),
    ...[...tree].flatMap(([path, text]) => checkPaths(path, text)),
    ...checkImports(modules, tree),
    ...checkDead(modules, tree),
  ];
  const findings: Finding[] = [];
  const excused: Finding[] = [];
  for (const finding of all) (isExcused(finding, tree) ? excused : findings).push(finding);
  return { files: sources.length, findings: findings.sort(byPlace), excused };
}

function byPlace(a: Finding, b: Finding): number {
  if (a.path !== b.path) return a.path < b.path ? -1 : 1;
  return a.line - b.line;
}

/** `// tidy-ignore rule: reason` excuses its own line, and the line below the comment. */
function isExcused(finding: Finding, tree: Tree): boolean {
  const lines = (tree.get(finding.path) ?? "").split("\n");
  const near = [lines[finding.line - 1] ?? ""];
  for (let above = finding.line - 2; /^\s*\/\//.test(lines[above] ?? ""); above--) {
    near.push(lines[above] ?? "");
  }
  return near.some((line) => /\/\/ tidy-ignore ([a-z-]+): \S/.exec(line)?.[1] === finding.rule);
}

/** The rules as text, one per line. */
export function rulesText(): string {
  const names = Object.keys(RULES) as Rule[];
  const width = Math.max(...names.map((name) => name.length));
  return names.map((name) => `${name.padEnd(width)}  ${RULES[name]}`).join("\n");
}
