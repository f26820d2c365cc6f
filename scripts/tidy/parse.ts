// TypeScript's own parser, asked for syntax trees. TypeScript 7 is a native program and its npm
// package calls the client of it unstable: only this file starts it, and the version is pinned.

import type { Node, SourceFile } from "typescript/unstable/ast";
import { createVirtualFileSystem } from "typescript/unstable/fs";
import { API } from "typescript/unstable/sync";
import { isCode, type Tree } from "./tree.ts";

export type Source = {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  readonly ast: SourceFile;
};

const ROOT = "/tree";

/** Parses every code file of the tree. Nothing is resolved or type-checked. */
export function parseTree(tree: Tree): Source[] {
  const paths = [...tree.keys()].filter(isCode);
  const config = {
    compilerOptions: { noLib: true, noResolve: true, types: [], allowJs: true, jsx: "preserve" },
    files: paths,
  };
  const files: { [path: string]: string } = { [`${ROOT}/tsconfig.json`]: JSON.stringify(config) };
  for (const path of paths) files[`${ROOT}/${path}`] = tree.get(path) ?? "";
  const api = new API({ cwd: ROOT, fs: createVirtualFileSystem(files) });
  try {
    const snapshot = api.updateSnapshot({ openProjects: [`${ROOT}/tsconfig.json`] });
    const program = snapshot.getProject(`${ROOT}/tsconfig.json`)?.program;
    return paths.map((path) => {
      const ast = program?.getSourceFile(`${ROOT}/${path}`);
      if (!ast) throw new Error(`the parser gave no tree for ${path}`);
      const text = tree.get(path) ?? "";
      return { path, text, lines: text.split("\n"), ast };
    });
  } finally {
    api.close();
  }
}

/** Visits a node and all below it, in source order. */
export function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  node.forEachChild((child) => {
    walk(child, visit);
  });
}

/** 1-based line of a node's first character, its comments not counted. */
export function lineOf(source: Source, node: Node): number {
  return lineAt(source, node.getStart(source.ast));
}

export function lineAt(source: Source, position: number): number {
  return source.ast.getLineAndCharacterOfPosition(position).line + 1;
}
