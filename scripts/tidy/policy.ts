// What tidy enforces, as tables: who may import whom, the budgets, the bans.
// No code that checks: a rule is changed here, and its reason belongs in docs/decisions/.

/** Which part of the repository a file belongs to. Packages by name; the rest by role. */
export type Area = string;

/**
 * The import table of the design. A value ending in "/" allows the subpaths under it, a value with
 * "/" inside allows that file, a bare name allows the whole package.
 */
export const IMPORT_TABLE: { readonly [area: Area]: readonly string[] } = {
  base: [],
  engine: ["base"],
  aggregation: ["base"],
  protocol: ["base"],
  net: ["base"],
  hub: ["base"],
  chain: ["base", "protocol"],
  worker: ["base", "engine", "aggregation", "protocol", "net"],
  coordinator: [
    "base",
    "aggregation",
    "protocol",
    "net",
    "engine/checkpoint/",
    "engine/model/parameters",
  ],
  sim: ["base", "engine", "aggregation", "protocol", "net", "worker", "coordinator", "cli"],
  cli: [
    "base",
    "engine",
    "aggregation",
    "protocol",
    "net",
    "hub",
    "chain",
    "worker",
    "coordinator",
  ],
};

/** Packages of the same logic everywhere: no platform, no clock, no chance, exact arithmetic. */
export const PURE: readonly Area[] = ["base", "aggregation", "protocol"];

/** Packages whose results must not depend on the wall clock or on unseeded chance. */
export const SEEDED: readonly Area[] = [...PURE, "engine"];

/** The Math functions whose result IEEE 754 or the integers fix; no other is bit-exact. */
export const EXACT_MATH: readonly string[] = [
  "abs",
  "ceil",
  "clz32",
  "floor",
  "fround",
  "imul",
  "max",
  "min",
  "round",
  "sign",
  "sqrt",
  "trunc",
];

/** The only files that may derive from Error itself: everything else derives from these. */
export const ERROR_ROOTS: readonly string[] = [
  "packages/base/src/assert.ts",
  "packages/base/src/errors.ts",
];

export const BUDGETS = {
  functionLines: 70,
  functionLinesWarn: 50,
  parameters: 4,
  columns: 100,
  fileLines: 400,
  fileLinesChapters: 800,
  fileLinesTools: 600,
} as const;

/** Packages whose files are chapters: one long file reads better than five short ones. */
export const CHAPTER_PACKAGES: readonly Area[] = ["engine", "base"];

/** Every rule's name, what it forbids and why: printed by `npm run tidy -- --rules`. */
export const RULES = {
  "import-table": "a package imports only what the table allows (design, The house)",
  "undeclared-import": "an import that package.json does not list works only by npm's hoisting",
  "platform-import": "node: modules in base, aggregation, protocol: they run in browsers too",
  "self-import": "a package that imports its own name; use a relative path",
  "missing-import": "a relative import of a file that is not there",
  cycle: "files that import each other in a circle cannot be read one after the other",
  "function-lines": "a function longer than 70 lines (warning from 50)",
  "file-lines": "a file longer than 400 lines (engine and base 800, scripts and tests 600)",
  columns: "a line wider than 100 columns (but for URLs, and long texts in tests)",
  parameters: "more than 4 parameters; use an options object",
  any: "`any` switches the compiler off",
  "non-null": "`!` claims what the compiler could not see; use defined() or a check",
  "export-star": "`export *` hides what a file offers",
  "export-default": "a default export has no one name to search for",
  console: "`console.` outside cli: libraries return values or call a given reporter",
  clock: "Date.now, new Date, performance.now where a tick must be an argument",
  chance: "Math.random, crypto randomness where a seed must be an argument",
  "inexact-math": "Math functions and ** that differ between engines, in bit-exact packages",
  "sort-order": "sort() without a comparator orders numbers as text",
  "plain-error": "new Error says nothing that a caller can act on: ManyhandsError or assert",
  unfinished: "TODO, FIXME, XXX: finish it or file an issue",
  suppression: "@ts-ignore, eslint-disable; biome-ignore or tidy-ignore without a reason",
  "test-only": "`.only(` leaves the other tests out; `.skip(` needs a comment with the reason",
  "machine-path": "a path that exists on one machine only",
  "dead-file": "a source file that no entry reaches",
  "unused-export": "an exported name that no other file imports",
} as const;

export type Rule = keyof typeof RULES;
