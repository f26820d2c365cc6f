// The fuzz command. Usage:
//   npm run fuzz -- [--seconds 60] [--target part-of-a-name] [--seed N] [--executions N]
// Each target runs for so many seconds. A failure prints the seed and where the input was saved;
// the same --target, --seed and --executions find it again. Exit code 1 on a failure.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type FuzzReport, fuzz, reportProblem } from "./fuzz.ts";
import { TARGETS, type Target } from "./targets.ts";

const SECONDS = 10;
/** The clock is read once per so many executions. */
const CLOCK_STRIDE = 64;

function main(): number {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string" },
      target: { type: "string" },
      seed: { type: "string" },
      executions: { type: "string" },
    },
  });
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
  const seconds = Number(values.seconds ?? SECONDS);
  const executionsMax = Number(values.executions ?? Number.POSITIVE_INFINITY);
  const targets = TARGETS.filter(({ name }) => name.includes(values.target ?? ""));
  if (targets.length === 0 || !(seconds > 0) || !Number.isSafeInteger(seed) || seed < 0) {
    const names = TARGETS.map(({ name }) => name).join(", ");
    console.error(`fuzz: --seconds > 0, --seed an integer ≥ 0, --target one of: ${names}`);
    return 2;
  }
  const failed = targets.filter((target) => !runTarget(target, { seed, seconds, executionsMax }));
  console.log(`fuzz: ${targets.length} targets, ${failed.length} failed (seed ${seed})`);
  return failed.length > 0 ? 1 : 0;
}

type Limits = {
  readonly seed: number;
  readonly seconds: number;
  readonly executionsMax: number;
};

function runTarget(target: Target, { seed, seconds, executionsMax }: Limits): boolean {
  const end = performance.now() + seconds * 1000;
  const report = fuzz(target, seed, (executions) => {
    if (executions >= executionsMax) return false;
    return executions % CLOCK_STRIDE !== 0 || performance.now() < end;
  });
  const problem = reportProblem(report);
  const { executions, accepted, acceptedChanged, refused } = report;
  const kinds = `${accepted} accepted (${acceptedChanged} of them changed), ${refused} refused`;
  const counts = `${executions} executions, ${kinds}`;
  console.log(`${problem ? "FAIL" : "ok  "} ${target.name}: ${counts}`);
  if (problem) console.log(problem);
  if (report.failure) console.log(savedText(report));
  return problem === undefined;
}

function savedText({ target, seed, executions, failure }: FuzzReport): string {
  const path = join(mkdtempSync(join(tmpdir(), "manyhands-fuzz-")), "input.bin");
  writeFileSync(path, failure?.input ?? new Uint8Array());
  return (
    `input saved to ${path}\n` +
    `again: npm run fuzz -- --target ${target} --seed ${seed} --executions ${executions + 1}`
  );
}

process.exitCode = main();
