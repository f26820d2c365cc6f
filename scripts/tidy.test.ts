// tidy is a program that says no: each rule is shown one fixture that breaks it and one that does
// not, as a small repository in a literal. The parser is the real one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { RULES, type Rule } from "./tidy/policy.ts";
import { rulesText, tidy } from "./tidy/tidy.ts";

const MANIFESTS: { readonly [path: string]: string } = {
  "package.json": JSON.stringify({ devDependencies: { "fast-check": "1" } }),
  "packages/base/package.json": JSON.stringify({ name: "@manyhands/base" }),
  "packages/engine/package.json": JSON.stringify({
    name: "@manyhands/engine",
    dependencies: { "@manyhands/base": "*" },
  }),
  "packages/net/package.json": JSON.stringify({
    name: "@manyhands/net",
    dependencies: { "@manyhands/base": "*", ws: "1" },
  }),
  "packages/coordinator/package.json": JSON.stringify({
    name: "@manyhands/coordinator",
    dependencies: { "@manyhands/base": "*", "@manyhands/engine": "*", "@manyhands/net": "*" },
  }),
  "packages/sim/package.json": JSON.stringify({ name: "@manyhands/sim" }),
  "packages/cli/package.json": JSON.stringify({
    name: "manyhands",
    dependencies: { "@manyhands/sim": "*", "@manyhands/base": "*" },
  }),
};

type Files = { readonly [path: string]: string };

/** `rule path:line` of every finding, so that a test states all that tidy says. */
function run(files: Files): string[] {
  const tree = new Map(Object.entries({ ...MANIFESTS, ...files }));
  return tidy(tree).findings.map(({ rule, path, line }) => `${rule} ${path}:${line}`);
}

/** A file that runs by itself, in a package where every import is declared. */
const MAIN = "packages/net/src/main.ts";

type Case = { readonly rule: Rule; readonly bad: Files; readonly at: string; readonly good: Files };

const lines = (count: number): string => "// a line\n".repeat(count);

const CASES: readonly Case[] = [
  {
    rule: "import-table",
    bad: { [MAIN]: `import "@manyhands/engine/x";\n` },
    at: `${MAIN}:1`,
    good: { [MAIN]: `import "@manyhands/base/x";\n` },
  },
  {
    rule: "import-table",
    bad: {
      "packages/coordinator/src/main.ts": `import { a } from "@manyhands/engine/ir/a";\na();\n`,
      "packages/engine/src/ir/a.ts": "export function a(): void {}\n",
    },
    at: "packages/coordinator/src/main.ts:1",
    good: {
      "packages/coordinator/src/main.ts": `import { a } from "@manyhands/engine/checkpoint/a";\na();\n`,
      "packages/engine/src/checkpoint/a.ts": "export function a(): void {}\n",
    },
  },
  {
    rule: "import-table",
    bad: { "packages/cli/src/main.ts": `import "@manyhands/sim/world";\n` },
    at: "packages/cli/src/main.ts:1",
    good: { "packages/cli/src/main.ts": `import "@manyhands/base/x";\n` },
  },
  {
    rule: "undeclared-import",
    bad: { [MAIN]: `import "fastify";\n` },
    at: `${MAIN}:1`,
    good: { [MAIN]: `import "ws";\nimport "node:fs";\n` },
  },
  {
    rule: "platform-import",
    bad: { "packages/base/src/main.ts": `import "node:fs";\n` },
    at: "packages/base/src/main.ts:1",
    good: { "packages/base/src/a.test.ts": `import "node:fs";\nimport "fast-check";\n` },
  },
  {
    rule: "self-import",
    bad: { [MAIN]: `import "@manyhands/net/x";\n` },
    at: `${MAIN}:1`,
    good: { [MAIN]: `import "./x.ts";\n`, "packages/net/src/x.ts": "" },
  },
  {
    rule: "missing-import",
    bad: { [MAIN]: `import "./gone.ts";\n` },
    at: `${MAIN}:1`,
    good: { [MAIN]: "" },
  },
  {
    rule: "cycle",
    bad: {
      [MAIN]: `import "./a.ts";\n`,
      "packages/net/src/a.ts": `import "./b.ts";\n`,
      "packages/net/src/b.ts": `// back\nimport "./a.ts";\n`,
    },
    at: "packages/net/src/b.ts:2",
    good: {
      [MAIN]: `import "./a.ts";\nimport "./b.ts";\n`,
      "packages/net/src/a.ts": `import "./b.ts";\n`,
      "packages/net/src/b.ts": `fork("./main.ts");\n`,
    },
  },
  {
    rule: "function-lines",
    bad: { [MAIN]: `main();\nfunction main() {\n${lines(69)}}\n` },
    at: `${MAIN}:2`,
    good: { [MAIN]: `main();\nfunction main() {\n${lines(48)}}\n` },
  },
  {
    rule: "file-lines",
    bad: { [MAIN]: lines(401) },
    at: `${MAIN}:1`,
    good: { [MAIN]: lines(400), "packages/engine/src/main.ts": lines(800) },
  },
  {
    rule: "columns",
    bad: { [MAIN]: `// ${"a".repeat(98)}\n` },
    at: `${MAIN}:1`,
    good: { [MAIN]: `// ${"Σ".repeat(97)}\n// https://${"a".repeat(98)}.org\n` },
  },
  {
    rule: "parameters",
    bad: { [MAIN]: "f(1, 2, 3, 4, 5);\nconst f = (a, b, c, d, e) => 0;\n" },
    at: `${MAIN}:2`,
    good: { [MAIN]: "f(1, 2, 3, 4);\nfunction f(a, b, c, d) {}\n" },
  },
  {
    rule: "any",
    bad: { [MAIN]: "const x = f as any;\n" },
    at: `${MAIN}:1`,
    good: { [MAIN]: `const any = "any";\nexpect.any = 1; // any\n` },
  },
  {
    rule: "non-null",
    bad: { [MAIN]: "const x = list[0]!;\n" },
    at: `${MAIN}:1`,
    good: { [MAIN]: "const x = !list[0];\nconst y = a !== b;\n" },
  },
  {
    rule: "export-star",
    bad: { [MAIN]: `export * from "./x.ts";\n`, "packages/net/src/x.ts": "" },
    at: `${MAIN}:1`,
    good: { [MAIN]: "" },
  },
  {
    rule: "export-default",
    bad: { "bench/a.ts": "export default 1;\n" },
    at: "bench/a.ts:1",
    good: { "bench/a.ts": "switch (x) {\n  default:\n}\n" },
  },
  {
    rule: "console",
    bad: { [MAIN]: `console.log("x");\n` },
    at: `${MAIN}:1`,
    good: { "packages/cli/src/main.ts": `console.log("console.log");\n` },
  },
  {
    rule: "clock",
    bad: { "packages/engine/src/main.ts": "\nconst t = Date.now();\n" },
    at: "packages/engine/src/main.ts:2",
    good: { [MAIN]: "const t = new Date();\n" },
  },
  {
    rule: "chance",
    bad: { "packages/base/src/main.ts": "const t = Math.random();\n" },
    at: "packages/base/src/main.ts:1",
    good: { [MAIN]: "const t = Math.random();\n" },
  },
  {
    rule: "inexact-math",
    bad: { "packages/base/src/main.ts": "const t = Math.exp(1);\n" },
    at: "packages/base/src/main.ts:1",
    good: { "packages/base/src/main.ts": "const t = Math.fround(2 ** 32) + 3n ** 4n;\n" },
  },
  {
    rule: "inexact-math",
    bad: { "packages/base/src/main.ts": "const t = x ** 2;\n" },
    at: "packages/base/src/main.ts:1",
    good: { "packages/engine/src/main.ts": "const t = x ** 2;\n" },
  },
  {
    rule: "sort-order",
    bad: { [MAIN]: "list.sort();\n" },
    at: `${MAIN}:1`,
    good: { [MAIN]: "list.sort((a, b) => a - b);\n" },
  },
  {
    rule: "plain-error",
    bad: { [MAIN]: `throw new Error("x");\n` },
    at: `${MAIN}:1`,
    good: { "bench/a.ts": `throw new Error("x");\n` },
  },
  {
    rule: "plain-error",
    bad: { [MAIN]: "class SocketError extends Error {}\n" },
    at: `${MAIN}:1`,
    good: { [MAIN]: "class SocketError extends ManyhandsError {}\n" },
  },
  {
    rule: "unfinished",
    bad: { [MAIN]: "/*\n * TODO: more\n */\n" },
    at: `${MAIN}:2`,
    good: { [MAIN]: "const text = `TODO ${1} TODO`;\nconst r = /TODO/;\n" },
  },
  {
    rule: "suppression",
    bad: { [MAIN]: "// @ts-ignore\n" },
    at: `${MAIN}:1`,
    good: { [MAIN]: `const x = "// @ts-ignore";\n` },
  },
  {
    rule: "suppression",
    bad: { [MAIN]: "// biome-ignore lint/style/useConst\n" },
    at: `${MAIN}:1`,
    good: { [MAIN]: "// biome-ignore lint/style/useConst: the loop assigns it\n" },
  },
  {
    rule: "test-only",
    bad: { "packages/net/src/a.test.ts": `test.only("x", () => {});\n` },
    at: "packages/net/src/a.test.ts:1",
    good: { "packages/net/src/a.test.ts": `test("x", () => {});\n` },
  },
  {
    rule: "test-only",
    bad: { "packages/net/src/a.test.ts": `\ntest.skip("x", () => {});\n` },
    at: "packages/net/src/a.test.ts:2",
    good: {
      "packages/net/src/a.test.ts": `// Needs a GPU: shows that both agree.\ntest.skip("x", f);\n`,
    },
  },
  {
    rule: "machine-path",
    bad: { "README.md": `# Use\nrun ${"/ho"}me/ann/x\n` },
    at: "README.md:2",
    good: { "README.md": "See https://example.org/home/x and packages/work/x\n" },
  },
  {
    rule: "dead-file",
    bad: { "packages/net/src/x.ts": "", "packages/net/src/x.test.ts": `import "./x.ts";\n` },
    at: "packages/net/src/x.ts:1",
    good: { "packages/net/src/x.ts": "", [MAIN]: `fork("./x.ts");\n` },
  },
  {
    rule: "unused-export",
    bad: {
      [MAIN]: `import { a } from "./x.ts";\na;\n`,
      "packages/net/src/x.ts": "export const a = 1;\nexport const b = 2;\n",
    },
    at: "packages/net/src/x.ts:2",
    good: {
      [MAIN]: `import { a as z } from "./x.ts";\nz;\n`,
      "packages/net/src/x.ts": "export type T = 1;\nexport const a: T = 1;\n",
    },
  },
];

for (const { rule, bad, at, good } of CASES) {
  test(`${rule}: finds ${JSON.stringify(Object.values(bad)[0]).slice(0, 60)}`, () => {
    assert.deepEqual(run(bad), [`${rule} ${at}`]);
    assert.deepEqual(run(good), [], "the good fixture must be clean");
  });
}

test("every rule has a fixture", () => {
  const shown = new Set(CASES.map((one) => one.rule));
  assert.deepEqual(
    Object.keys(RULES).filter((rule) => !shown.has(rule as Rule)),
    [],
  );
});

test("a function between 50 and 70 lines is a warning, not an error", () => {
  const tree = new Map([[MAIN, `main();\nfunction main() {\n${lines(49)}}\n`]]);
  assert.deepEqual(
    tidy(tree).findings.map(({ rule, severity }) => [rule, severity]),
    [["function-lines", "warning"]],
  );
});

test("the body of describe is no function; a test's body is", () => {
  const path = "packages/net/src/a.test.ts";
  assert.deepEqual(run({ [path]: `describe("x", () => {\n${lines(80)}});\n` }), []);
  assert.deepEqual(run({ [path]: `test("x", () => {\n${lines(80)}});\n` }), [
    `function-lines ${path}:1`,
  ]);
});

test("tidy-ignore with rule and reason excuses one line; without a reason it is a finding", () => {
  const excused = "// tidy-ignore sort-order: texts\nlist.sort();\n";
  const tree = new Map(Object.entries({ ...MANIFESTS, [MAIN]: excused }));
  assert.deepEqual(tidy(tree).findings, []);
  assert.equal(tidy(tree).excused.length, 1);
  assert.deepEqual(run({ [MAIN]: "// tidy-ignore sort-order\nlist.sort();\n" }), [
    `suppression ${MAIN}:1`,
    `sort-order ${MAIN}:2`,
  ]);
});

test("rulesText lists every rule", () => {
  assert.equal(rulesText().split("\n").length, Object.keys(RULES).length);
});
