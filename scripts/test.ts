// test: finds the test files and gives them to Node's own runner, which prints the counts.
// Not a framework: no retries, no configuration.
//
// Usage: npm test [-- words …]   only files whose path contains one of the words; what begins with
//                                "-" goes to `node --test` (such as --test-name-pattern=merkle)
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const PATTERNS = [
  "packages/*/src/**/*.test.ts",
  "apps/*/src/**/*.test.ts",
  "scripts/**/*.test.ts",
  "test/fuzz/*.test.ts",
];
/** Test files are processes of their own; the smallest machine that we promise has two cores. */
const CONCURRENCY = 2;

function main(args: readonly string[]): number {
  const options = args.filter((arg) => arg.startsWith("-"));
  const words = args.filter((arg) => !arg.startsWith("-"));
  const all = globSync(PATTERNS, { cwd: ROOT }).sort((a, b) => (a < b ? -1 : 1));
  const files = all.filter((file) => words.length === 0 || words.some((w) => file.includes(w)));
  if (files.length === 0) {
    console.error(`No test file matches ${words.join(", ") || PATTERNS.join(", ")}: nothing ran.`);
    return 1;
  }
  return runFiles(files, options);
}

function runFiles(files: readonly string[], options: readonly string[]): number {
  const reporter = process.stdout.isTTY ? "spec" : "./scripts/test-reporter.ts";
  const run = spawnSync(
    process.execPath,
    [
      "--test",
      `--test-concurrency=${CONCURRENCY}`,
      `--test-reporter=${reporter}`,
      "--test-reporter-destination=stdout",
      ...options,
      ...files,
    ],
    { cwd: ROOT, stdio: "inherit" },
  );
  if (run.error) {
    console.error(run.error.message);
    return 1;
  }
  return run.status ?? 1;
}

process.exitCode = main(process.argv.slice(2));
