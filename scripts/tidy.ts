// tidy: the rules of the house that neither the compiler nor the linter can say.
//
// | decision                                   | where                                       |
// | ------------------------------------------ | ------------------------------------------- |
// | who may import whom; which are pure        | tidy/policy.ts: IMPORT_TABLE, PURE, SEEDED  |
// | budgets of functions, files, lines         | tidy/policy.ts: BUDGETS, CHAPTER_PACKAGES   |
// | every rule in a sentence                   | tidy/policy.ts: RULES (or --rules)          |
// | how files are parsed: TypeScript's parser  | tidy/parse.ts                               |
// | what keeps a file or an export alive       | tidy/dead.ts                                |
// | exceptions: a comment with rule and reason | tidy/tidy.ts                                |
//
// Usage: node scripts/tidy.ts [--rules] [folder or file …]   exit code 1 if a rule is broken
import { join } from "node:path";
import { rulesText, tidy } from "./tidy/tidy.ts";
import { readTree } from "./tidy/tree.ts";

const ROOT = join(import.meta.dirname, "..");

function main(args: readonly string[]): number {
  if (args.includes("--rules")) {
    console.log(rulesText());
    return 0;
  }
  const report = tidy(readTree(ROOT));
  const isAsked = (path: string): boolean =>
    args.length === 0 || args.some((arg) => path.startsWith(arg.replace(/^\.\//, "")));
  const shown = report.findings.filter((finding) => isAsked(finding.path));
  for (const { path, line, rule, message, severity } of shown) {
    console.log(`${path}:${line}  ${severity === "warning" ? "warning " : ""}${rule}  ${message}`);
  }
  const errors = shown.filter((finding) => finding.severity === "error").length;
  const warnings = shown.length - errors;
  const excused = report.excused.length;
  console.log(
    `tidy: ${report.files} files, ${errors} broken rules, ${warnings} warnings, ${excused} excused`,
  );
  return errors > 0 ? 1 : 0;
}

process.exitCode = main(process.argv.slice(2));
