// What a file imports and exports, from its syntax tree, with relative paths resolved in the tree.
// Knows no rule.
import {
  isCallExpression,
  isExportDeclaration,
  isIdentifier,
  isImportDeclaration,
  isImportTypeNode,
  isInterfaceDeclaration,
  isNamedExports,
  isNamedImports,
  isStringLiteral,
  isTypeAliasDeclaration,
  isVariableStatement,
  type Node,
  SyntaxKind,
} from "typescript/unstable/ast";
import { lineOf, type Source, walk } from "./parse.ts";
import type { Tree } from "./tree.ts";

export type Import = {
  readonly specifier: string;
  /** The names asked for; "*" for all of them or when it cannot be told. */
  readonly names: readonly string[];
  readonly line: number;
  /** Path in the tree, when the specifier leads into it. */
  readonly target: string | undefined;
  /** A path in a string, not an import: it keeps a file alive, but ties no knot. */
  readonly isMention: boolean;
};

export type Export = { readonly name: string; readonly line: number; readonly isType: boolean };

export type Module = {
  readonly source: Source;
  readonly imports: readonly Import[];
  readonly exports: readonly Export[];
};

/** Package names of the workspace → their folder, from the manifests in the tree. */
export function workspacePackages(tree: Tree): Map<string, string> {
  const found = new Map<string, string>();
  for (const [path, text] of tree) {
    const folder = /^((?:packages|apps)\/[^/]+)\/package\.json$/.exec(path)?.[1];
    if (folder === undefined) continue;
    found.set((JSON.parse(text) as { name: string }).name, folder);
  }
  return found;
}

export function moduleOf(source: Source, tree: Tree): Module {
  const imports: Import[] = [];
  const packages = workspacePackages(tree);
  const add = (at: Node, specifier: string, names: readonly string[]): void => {
    const target = resolve(source.path, specifier, { tree, packages });
    imports.push({ specifier, names, line: lineOf(source, at), target, isMention: false });
  };
  walk(source.ast, (node) => {
    const found = importAt(node);
    if (found) add(node, found.specifier, found.names);
    const target = found ? undefined : mentionedFile(node, source.path, tree);
    if (target === undefined) return;
    const line = lineOf(source, node);
    imports.push({ specifier: target, names: ["*"], line, target, isMention: true });
  });
  return { source, imports, exports: exportsOf(source) };
}

function importAt(node: Node): { specifier: string; names: readonly string[] } | undefined {
  if (isImportDeclaration(node) && isStringLiteral(node.moduleSpecifier)) {
    const clause = node.importClause;
    const bindings = clause?.namedBindings;
    const specifier = node.moduleSpecifier.text;
    if (!clause) return { specifier, names: [] };
    if (!bindings) return { specifier, names: ["default"] };
    if (!isNamedImports(bindings)) return { specifier, names: ["*"] };
    return { specifier, names: bindings.elements.map((e) => (e.propertyName ?? e.name).text) };
  }
  if (isExportDeclaration(node) && node.moduleSpecifier && isStringLiteral(node.moduleSpecifier)) {
    const specifier = node.moduleSpecifier.text;
    const clause = node.exportClause;
    if (!clause || !isNamedExports(clause)) return { specifier, names: ["*"] };
    return { specifier, names: clause.elements.map((e) => (e.propertyName ?? e.name).text) };
  }
  if (isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments;
    if (argument && isStringLiteral(argument)) return { specifier: argument.text, names: ["*"] };
  }
  if (isImportTypeNode(node)) {
    const quoted = /^import\(\s*["']([^"']+)["']/.exec(node.getText());
    if (quoted) return { specifier: quoted[1] ?? "", names: ["*"] };
  }
  return undefined;
}

type Where = { readonly tree: Tree; readonly packages: ReadonlyMap<string, string> };

function resolve(from: string, specifier: string, where: Where): string | undefined {
  if (specifier.startsWith(".")) {
    const path = joinPath(from, specifier);
    return where.tree.has(path) ? path : undefined;
  }
  for (const [name, folder] of where.packages) {
    if (!specifier.startsWith(`${name}/`)) continue;
    const path = `${folder}/src/${specifier.slice(name.length + 1)}.ts`;
    return where.tree.has(path) ? path : undefined;
  }
  return undefined;
}

/**
 * A file named in a string: new URL("./child.ts", import.meta.url), fork(…), a script's path. It
 * may start from the file, from its package or from the root.
 */
function mentionedFile(node: Node, from: string, tree: Tree): string | undefined {
  if (!isStringLiteral(node) || !/\.(?:ts|mjs|js)$/.test(node.text)) return undefined;
  if (importAt(node.parent) !== undefined || from.startsWith("scripts/tidy")) return undefined;
  const folder = /^(?:packages|apps)\/[^/]+\//.exec(from)?.[0] ?? "";
  const places = [joinPath(from, node.text), `${folder}${node.text}`, node.text];
  return places.find((path) => tree.has(path) && path !== from);
}

/** A relative path seen from a file. */
export function joinPath(from: string, relative: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of relative.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return parts.join("/");
}

function exportsOf(source: Source): Export[] {
  const found: Export[] = [];
  const add = (node: Node, name: string, isType: boolean): void => {
    found.push({ name, line: lineOf(source, node), isType });
  };
  for (const statement of source.ast.statements) {
    if (isExportDeclaration(statement)) {
      const clause = statement.exportClause;
      if (!clause || !isNamedExports(clause)) continue;
      for (const e of clause.elements) add(e, e.name.text, statement.isTypeOnly || e.isTypeOnly);
    } else if (isExported(statement)) {
      const isType = isTypeAliasDeclaration(statement) || isInterfaceDeclaration(statement);
      for (const name of declaredNames(statement)) add(statement, name, isType);
    }
  }
  return found;
}

/** A default export goes by no name, so nobody can import it by one. */
function isExported(statement: Node): boolean {
  const { modifiers = [] } = statement as { modifiers?: readonly Node[] };
  const has = (kind: SyntaxKind): boolean => modifiers.some((modifier) => modifier.kind === kind);
  return has(SyntaxKind.ExportKeyword) && !has(SyntaxKind.DefaultKeyword);
}

function declaredNames(statement: Node): string[] {
  if (!isVariableStatement(statement)) {
    const { name } = statement as { name?: Node };
    return name && isIdentifier(name) ? [name.text] : [];
  }
  const names: string[] = [];
  for (const declaration of statement.declarationList.declarations) {
    walk(declaration.name, (node) => {
      if (isIdentifier(node)) names.push(node.text);
    });
  }
  return names;
}
