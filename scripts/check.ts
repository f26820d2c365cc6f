// check: everything that can be said without running the product: types, lint and format, the rules
// of the house, the documents. It changes nothing; `npm run format` does.
//
// Usage: node scripts/check.ts   exit code 1 if a step failed; the other steps run all the same
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { styleText } from "node:util";
import { checkDocs } from "./docs.ts";
import { readTree } from "./tidy/tree.ts";

const ROOT = join(import.meta.dirname, "..");
const BIN = join(ROOT, "node_modules", ".bin");

type Outcome = { readonly passed: boolean; readonly output: string };
type Step = { readonly title: string; readonly run: () => Promise<Outcome> };

/** Runs a program to its end and keeps what it said. */
function program(command: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on("error", (error) => resolve({ passed: false, output: error.message }));
    child.on("close", (code) => resolve({ passed: code === 0, output }));
  });
}

function projects(): string[] {
  const groups = ["packages", "apps"].filter((group) => existsSync(join(ROOT, group)));
  const folders = groups.flatMap((group) =>
    readdirSync(join(ROOT, group), { withFileTypes: true })
      .filter(
        (entry) =>
          entry.isDirectory() && existsSync(join(ROOT, group, entry.name, "tsconfig.json")),
      )
      .map((entry) => `${group}/${entry.name}`),
  );
  return [...folders.filter(hasSource), "."];
}

/** TypeScript calls an empty project an error; a package without code has nothing to check. */
function hasSource(folder: string): boolean {
  const source = join(ROOT, folder, "src");
  return (
    existsSync(source) &&
    readdirSync(source, { recursive: true }).some((f) => /\.tsx?$/.test(String(f)))
  );
}

function docs(): Promise<Outcome> {
  const problems = checkDocs(readTree(ROOT), (path) => existsSync(join(ROOT, path)));
  const output = problems
    .map(({ path, line, message }) => `${path}:${line}  ${message}`)
    .join("\n");
  return Promise.resolve({ passed: problems.length === 0, output });
}

function steps(): Step[] {
  const types = projects().map((folder) => ({
    title: `types ${folder === "." ? "tests, scripts, test, bench" : folder}`,
    run: () => program(join(BIN, "tsc"), ["-p", folder, "--pretty", "false"]),
  }));
  return [
    ...types,
    {
      title: "biome (format, lint)",
      run: () => program(join(BIN, "biome"), ["check", "--max-diagnostics=100", "."]),
    },
    {
      title: "tidy (rules of the house)",
      run: () => program(process.execPath, ["scripts/tidy.ts"]),
    },
    { title: "docs (links, reject codes)", run: docs },
  ];
}

async function main(): Promise<number> {
  let failed = 0;
  for (const step of steps()) {
    const start = performance.now();
    const { passed, output } = await step.run();
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    const mark = passed ? styleText("green", "ok  ") : styleText("red", "FAIL");
    console.log(`${mark} ${step.title}  ${styleText("dim", `${seconds} s`)}`);
    if (passed) continue;
    failed += 1;
    console.log(output.trimEnd().replace(/^/gm, "     "));
  }
  console.log(failed === 0 ? "check: all steps passed" : `check: ${failed} steps failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
