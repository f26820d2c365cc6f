// npm run sim -- [--seed N] [--seeds M] [--trace]: runs seeds one after the other, prints what
// failed and how to see it again. Not a test: sim.test.ts.
import { parseArgs } from "node:util";
import { type SimReport, simulate } from "./simulate.ts";

const SEEDS_DEFAULT = 20;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      trace: { type: "boolean", default: false },
    },
  });
  const first = Number(values.seed ?? 1);
  const count = Number(values.seeds ?? (values.seed === undefined ? SEEDS_DEFAULT : 1));
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || first < 0 || count < 1) {
    process.stderr.write("expected whole numbers: --seed N --seeds M\n");
    return 2;
  }
  const failed: SimReport[] = [];
  const totals = new Map<string, number>();
  for (let seed = first; seed < first + count; seed++) {
    const onTrace = values.trace ? (line: string) => print(line) : undefined;
    const report = await simulate({ seed, onTrace });
    print(summary(report));
    if (report.failure !== null) failed.push(report);
    for (const [what, times] of report.counters) totals.set(what, (totals.get(what) ?? 0) + times);
  }
  for (const what of [...totals.keys()].sort((a, b) => (a < b ? -1 : 1))) {
    print(`${String(totals.get(what)).padStart(8)}  ${what}`);
  }
  for (const { seed, failure } of failed) {
    print(`\nseed ${seed} failed ${failure}\nsee it again: npm run sim -- --seed ${seed} --trace`);
  }
  print(`${count - failed.length} of ${count} seeds passed`);
  return failed.length === 0 ? 0 : 1;
}

function summary(report: SimReport): string {
  const { seed, failure, rounds, virtualMs, lossBefore, lossAfter, logHead } = report;
  const verdict = failure === null ? "ok" : "FAILED";
  const loss = `loss ${lossBefore.toFixed(3)} → ${lossAfter.toFixed(3)}`;
  const time = `${rounds} rounds in ${(virtualMs / 1_000).toFixed(0)} s`;
  return `seed ${seed}: ${verdict}, ${time}, ${loss}, ${logHead.slice(0, 12)}`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main();
