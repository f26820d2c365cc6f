// The repository as data: paths and texts. From disk for real, from a literal in tests.
// Reads only; what a file means is for the other chapters.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Area, Rule } from "./policy.ts";

/** Text of every file by its path from the root, with forward slashes. */
export type Tree = ReadonlyMap<string, string>;

/** One thing to mend. */
export type Finding = {
  readonly path: string;
  readonly line: number;
  readonly rule: Rule;
  readonly message: string;
  readonly severity: "error" | "warning";
};

const CODE = /\.(?:ts|tsx|mts|mjs|js)$/;
const TEXT = /\.(?:ts|tsx|mts|mjs|js|json|md|sh|ya?ml|py|toml|html|css)$/;
const SKIPPED = new Set(["node_modules", "runs", "dist", "generated", "results"]);
/** Recorded data, such as vectors, is no text that somebody wrote. */
const TEXT_BYTES_MAX = 512 * 1024;

export function isCode(path: string): boolean {
  return CODE.test(path) && !path.endsWith(".d.ts");
}

/** Tests, and what only tests use: suites, fixtures, fuzz targets. */
export function isTest(path: string): boolean {
  return (
    /\.(?:test|contract|fixture)\.tsx?$/.test(path) ||
    path.startsWith("test/") ||
    /\/(?:testing|testdata)\//.test(path)
  );
}

/** `packages/net/src/x.ts` → net; `apps/web/…` → web; anything else → its first folder. */
export function areaOf(path: string): Area {
  const [first = "", second = ""] = path.split("/");
  return (first === "packages" || first === "apps") && second !== "" ? second : first;
}

export function isPackageSource(path: string): boolean {
  return /^packages\/[^/]+\/src\//.test(path);
}

export function readTree(root: string): Tree {
  const tree = new Map<string, string>();
  const visit = (folder: string): void => {
    const entries = readdirSync(join(root, folder), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      const hidden = entry.name.startsWith(".") && path !== ".ci";
      if (hidden || SKIPPED.has(entry.name) || entry.isSymbolicLink()) continue;
      if (entry.isDirectory()) visit(path);
      else if (TEXT.test(path) || path.startsWith(".ci/")) addText(tree, root, path);
    }
  };
  visit("");
  return tree;
}

function addText(tree: Map<string, string>, root: string, path: string): void {
  if (path === "package-lock.json") return;
  const bytes = readFileSync(join(root, path));
  if (bytes.length <= TEXT_BYTES_MAX || isCode(path)) tree.set(path, bytes.toString("utf8"));
}
