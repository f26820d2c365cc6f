// Sizes that keep a file readable in one sitting: functions, files, lines, parameters.
import {
  isArrowFunction,
  isCallExpression,
  isConstructorDeclaration,
  isFunctionDeclaration,
  isFunctionExpression,
  isMethodDeclaration,
  isStringLiteral,
  type Node,
  SyntaxKind,
} from "typescript/unstable/ast";
import { lineAt, lineOf, type Source, walk } from "./parse.ts";
import { BUDGETS, CHAPTER_PACKAGES, type Rule } from "./policy.ts";
import { areaOf, type Finding, isPackageSource, isTest } from "./tree.ts";

export function checkBudgets(source: Source): Finding[] {
  return [...fileFindings(source), ...lineFindings(source), ...functionFindings(source)];
}

function fileFindings(source: Source): Finding[] {
  const max = fileLinesMax(source.path);
  const count = source.lines.length - (source.text.endsWith("\n") ? 1 : 0);
  if (count <= max) return [];
  const message = `${count} lines, ${max} allowed; split it where its story turns`;
  return [finding(source, 1, "file-lines", message)];
}

function fileLinesMax(path: string): number {
  if (!isPackageSource(path) || isTest(path)) return BUDGETS.fileLinesTools;
  const isChapter = CHAPTER_PACKAGES.includes(areaOf(path));
  return isChapter ? BUDGETS.fileLinesChapters : BUDGETS.fileLines;
}

function lineFindings(source: Source): Finding[] {
  return source.lines.flatMap((line, index) => {
    const columns = [...line].length;
    if (columns <= BUDGETS.columns || isExemptLine(source, line)) return [];
    const message = `${columns} columns, ${BUDGETS.columns} allowed; break the line`;
    return [finding(source, index + 1, "columns", message)];
  });
}

function isExemptLine(source: Source, line: string): boolean {
  if (/https?:\/\//.test(line)) return true;
  return isTest(source.path) && /(["'`]).{40,}\1/.test(line);
}

type FunctionNode = Node & {
  readonly name?: Node;
  readonly body?: Node;
  readonly parameters: readonly Node[];
};

function isFunctionWithBody(node: Node): node is FunctionNode {
  const isFunction =
    isFunctionDeclaration(node) ||
    isFunctionExpression(node) ||
    isArrowFunction(node) ||
    isMethodDeclaration(node) ||
    isConstructorDeclaration(node);
  return isFunction && node.body !== undefined;
}

function functionFindings(source: Source): Finding[] {
  const findings: Finding[] = [];
  walk(source.ast, (node) => {
    if (!isFunctionWithBody(node)) return;
    const line = lineOf(source, node);
    const name = functionName(node);
    const count = node.parameters.length;
    if (count > BUDGETS.parameters) {
      const message = `${name} takes ${count}, ${BUDGETS.parameters} allowed; pass an object`;
      findings.push(finding(source, line, "parameters", message));
    }
    const lines = lineAt(source, node.getEnd()) - line + 1;
    if (lines <= BUDGETS.functionLinesWarn || isSuite(node)) return;
    const budget = `${BUDGETS.functionLines} allowed; give a part a name`;
    const message = `${name} has ${lines} lines, ${budget}`;
    const tooLong = lines > BUDGETS.functionLines;
    const one = finding(source, line, "function-lines", message);
    findings.push(tooLong ? one : { ...one, severity: "warning" });
  });
  return findings;
}

function functionName(node: FunctionNode): string {
  if (node.name) return `${node.name.getText()}()`;
  const { parent } = node;
  if (
    parent.kind === SyntaxKind.VariableDeclaration ||
    parent.kind === SyntaxKind.PropertyAssignment
  ) {
    return `${(parent as FunctionNode).name?.getText() ?? "a function"}()`;
  }
  return isConstructorDeclaration(node) ? "the constructor" : "a function";
}

/** The body of describe("…", () => {…}) is a list of tests, not a function. */
function isSuite(node: Node): boolean {
  const { parent } = node;
  if (!isCallExpression(parent)) return false;
  const [first] = parent.arguments;
  return (
    /^(?:describe|suite)\b/.test(parent.expression.getText()) && !!first && isStringLiteral(first)
  );
}

function finding(source: Source, line: number, rule: Rule, message: string): Finding {
  return { path: source.path, line, rule, message, severity: "error" };
}
