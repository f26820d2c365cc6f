// Code that nobody uses: files that no entry reaches, exported names that no file imports.
import { isIdentifier } from "typescript/unstable/ast";
import type { Module } from "./modules.ts";
import { walk } from "./parse.ts";
import { areaOf, type Finding, isPackageSource, isTest, type Tree } from "./tree.ts";

export function checkDead(modules: readonly Module[], tree: Tree): Finding[] {
  return [...deadFiles(modules, tree), ...unusedExports(modules)];
}

/**
 * A package's source lives if an entry reaches it. Tests are no entry: code that only its own test
 * runs is dead. A helper of tests lives if a test reaches it.
 */
function deadFiles(modules: readonly Module[], tree: Tree): Finding[] {
  const byPath = new Map(modules.map((module) => [module.source.path, module]));
  const named = namedInManifests(tree);
  const reached = new Set<string>();
  const reach = (path: string): void => {
    if (reached.has(path)) return;
    reached.add(path);
    for (const used of byPath.get(path)?.imports ?? []) {
      if (used.target !== undefined) reach(used.target);
    }
  };
  for (const path of byPath.keys()) if (isEntry(path) || named.has(path)) reach(path);
  return [...byPath.keys()].flatMap((path) => {
    if (!isPackageSource(path) || isTest(path) || reached.has(path)) return [];
    const message = "no entry of the product reaches this file; use it or delete it";
    return [{ path, line: 1, rule: "dead-file", message, severity: "error" }];
  });
}

/** What runs by itself: a main.ts, a package's bin folder, the tools, suites and benches. */
function isEntry(path: string): boolean {
  if (isTest(path)) return false;
  if (!isPackageSource(path)) return true;
  return /\/(?:main|[\w-]+\.bench)\.ts$/.test(path);
}

/** Files that a package.json names: bin, scripts, exports that are no pattern. */
function namedInManifests(tree: Tree): Set<string> {
  const found = new Set<string>();
  for (const [path, text] of tree) {
    if (!/(?:^|\/)package\.json$/.test(path)) continue;
    const folder = path.slice(0, -"package.json".length);
    for (const match of text.matchAll(/[\w./-]+\.(?:ts|mjs)/g)) {
      found.add(`${folder}${match[0].replace(/^\.\//, "")}`);
    }
  }
  return found;
}

/**
 * A value lives if another file imports it: the product, or a test that looks at an inner part.
 * A type lives also if its own file mentions it again, as part of what it exports.
 */
function unusedExports(modules: readonly Module[]): Finding[] {
  const used = new Map<string, Set<string>>();
  for (const module of modules) {
    for (const { target, names } of module.imports) {
      if (target === undefined) continue;
      const known = used.get(target) ?? new Set();
      for (const name of names) known.add(name);
      used.set(target, known);
    }
  }
  return modules.flatMap((module) => {
    const { path } = module.source;
    const names = used.get(path);
    if (names?.has("*") || !isLibrary(path)) return [];
    return module.exports.flatMap((one) => {
      if (names?.has(one.name)) return [];
      if (one.isType && mentions(module, one.name) > 1) return [];
      const message = `nobody imports ${one.name}; drop the export, or the code`;
      return [{ path, line: one.line, rule: "unused-export", message, severity: "error" }];
    });
  });
}

/** Config files and pages export for their framework, not for us. */
function isLibrary(path: string): boolean {
  return isPackageSource(path) || areaOf(path) === "scripts" || path.startsWith("test/");
}

function mentions(module: Module, name: string): number {
  let count = 0;
  walk(module.source.ast, (node) => {
    if (isIdentifier(node) && node.text === name) count += 1;
  });
  return count;
}
