// Checks of the documents: links lead somewhere, and every reject code stands in the spec.
// Reads texts; it judges no prose.

import { joinPath } from "./tidy/modules.ts";
import type { Tree } from "./tidy/tree.ts";
import { isPackageSource, isTest } from "./tidy/tree.ts";

export type DocsProblem = {
  readonly path: string;
  readonly line: number;
  readonly message: string;
};

/** @param exists is there a file or folder at this path from the root? */
export function checkDocs(tree: Tree, exists: (path: string) => boolean): DocsProblem[] {
  return [...brokenLinks(tree, exists), ...unlistedCodes(tree)];
}

const LINK = /\[[^\]]*\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g;

function brokenLinks(tree: Tree, exists: (path: string) => boolean): DocsProblem[] {
  const problems: DocsProblem[] = [];
  for (const [path, text] of tree) {
    if (!path.endsWith(".md")) continue;
    for (const [index, line] of withoutCode(text).split("\n").entries()) {
      for (const match of line.matchAll(LINK)) {
        const message = linkProblem(path, match[1] ?? "", { tree, exists });
        if (message) problems.push({ path, line: index + 1, message });
      }
    }
  }
  return problems;
}

type World = { readonly tree: Tree; readonly exists: (path: string) => boolean };

function linkProblem(from: string, link: string, world: World): string | undefined {
  if (/^[a-z][a-z+.-]*:/.test(link)) return undefined;
  const [file = "", anchor] = link.split("#");
  const target = file === "" ? from : joinPath(from, decodeURI(file));
  if (!world.exists(target)) return `the link ${link} leads nowhere: there is no ${target}`;
  const text = world.tree.get(target);
  if (anchor === undefined || !target.endsWith(".md") || text === undefined) return undefined;
  return anchorsOf(text).has(anchor) ? undefined : `${target} has no heading #${anchor}`;
}

/** The text with code blocks and code spans blanked, line by line. */
function withoutCode(text: string): string {
  const blank = (code: string): string => code.replace(/[^\n]/g, " ");
  return text.replace(/^```[\s\S]*?^```/gm, blank).replace(/`[^`\n]*`/g, blank);
}

/** Headings' anchors, as GitHub makes them. */
export function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const match of text.matchAll(/^#{1,6}\s+(.+?)\s*$/gm)) {
    const words = (match[1] ?? "").toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "");
    anchors.add(words.replace(/\s/g, "-"));
  }
  return anchors;
}

/** `code: "commit/wrong-round"`, `reject("commit/wrong-round"`, or a line of a union of codes. */
const CODE = /(?:\bcode:\s*|\breject\(\s*|^\s*\|\s*)"([a-z0-9-]+\/[a-z0-9-]+)"/gm;

/** Every reject code of the product, with where it stands first. */
export function rejectCodes(tree: Tree): Map<string, { path: string; line: number }> {
  const codes = new Map<string, { path: string; line: number }>();
  for (const [path, text] of tree) {
    if (!isPackageSource(path) || isTest(path)) continue;
    for (const match of text.matchAll(CODE)) {
      const code = match[1] ?? "";
      const line = text.slice(0, match.index).split("\n").length;
      if (!codes.has(code)) codes.set(code, { path, line });
    }
  }
  return codes;
}

function unlistedCodes(tree: Tree): DocsProblem[] {
  const spec = [...tree].filter(([path]) => /^docs\/spec\/.*\.md$/.test(path));
  const words = new Set(spec.flatMap(([, text]) => text.match(/[a-z0-9-]+\/[a-z0-9-]+/g) ?? []));
  return [...rejectCodes(tree)].flatMap(([code, place]) => {
    if (words.has(code)) return [];
    return [{ ...place, message: `the reject code ${code} is missing from docs/spec/*.md` }];
  });
}
