// Fine-tuning with the real command, killed at random steps: it goes on to the same losses and
// ends in the same weights as a run that nobody interrupted. The steps come from a seed, which is
// printed and can be given: CHAOS_SEED.
import { deepEqual, equal, ok } from "node:assert/strict";
import { randomInt } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { compareText } from "@manyhands/base/bytes";
import { Random } from "@manyhands/base/random";
import { writeTinyData, writeTinyModel } from "manyhands/testing/tiny-model";
import { Process } from "../process.ts";

const KILLED_RUNS = 5;
const KILLS_MAX = 3;
const STEPS = 60;
const FLAGS = `--steps ${STEPS} --batch 8 --micro-batch 4 --sequence 48 --rate 0.003 --dropout 0.1
  --schedule wsd --save-every 4 --eval-every 7 --seed 5 --json`.split(/\s+/);

type Losses = Map<number, number>;

const seed = Number(process.env["CHAOS_SEED"] ?? randomInt(2 ** 31));
const random = new Random(seed);
let folder = "";

before(() => {
  process.stdout.write(`CHAOS_SEED=${seed}\n`);
  folder = mkdtempSync(join(tmpdir(), "manyhands-chaos-finetune-"));
  writeTinyModel(join(folder, "model"));
  writeTinyData(join(folder, "data.jsonl"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

for (const base of ["nf4", "full"] as const) {
  test(`${base}: killed at random steps, five times: the same losses, the same bits`, async () => {
    const method = base === "full" ? ["--method", "full"] : ["--base", base];
    const whole = `${base}-whole`;
    const expected = lossesOf(await toEnd(start(whole, method)));
    equal(expected.size, STEPS);
    for (let run = 0; run < KILLED_RUNS; run++) {
      const out = `${base}-${run}`;
      const seen: Losses = new Map();
      for (let kill = random.below(KILLS_MAX); kill >= 0; kill--) {
        await killedAtStep(start(out, method), 1 + random.below(STEPS), seen);
      }
      keep(lossesOf(await toEnd(start(out, method))), seen);
      deepEqual([...seen].sort(byStep), [...expected].sort(byStep), out);
      deepEqual(resultOf(out), resultOf(whole), out);
    }
  });
}

test("a signal pauses and goes on, another saves and stops, and the rest is learnt later", async () => {
  const out = "signals";
  const whole = lossesOf(await toEnd(start("signals-whole", [])));
  const first = start(out, []);
  await first.says(/"type":"step","step":5,/);
  first.signal("SIGUSR2");
  await first.says(/"type":"paused"/);
  await first.says(/"type":"paused"[\s\S]*"type":"checkpoint"/);
  const paused = first.stdout;
  await wait(300); // time in which a run that does not pause takes steps
  equal(first.stdout, paused);
  first.signal("SIGUSR2");
  await first.says(/"type":"resumed"/);
  first.signal("SIGINT");
  deepEqual((await first.exit).code, 130);
  ok(/"type":"(stopped|end)"/.test(first.stdout), first.output);
  const seen = lossesOf(first.stdout);
  keep(lossesOf(await toEnd(start(out, []))), seen);
  deepEqual([...seen].sort(byStep), [...whole].sort(byStep));
});

function start(out: string, method: readonly string[]): Process {
  const files = ["--model", join(folder, "model"), "--data", join(folder, "data.jsonl")];
  const words = ["finetune", ...files, "--out", join(folder, out), ...FLAGS, ...method];
  const cache = { NO_COLOR: "1", MANYHANDS_CACHE: join(folder, "bases") };
  return new Process(words, { environment: { ...process.env, ...cache } });
}

/** SIGKILL once the step is told, or at once if a former sitting has taken it; a moment later. */
async function killedAtStep(sitting: Process, step: number, seen: Losses): Promise<void> {
  const taken = Math.max(step, 1 + [...seen.keys()].length);
  if (taken <= STEPS) await sitting.says(new RegExp(`"type":"step","step":${taken},|"type":"end"`));
  await wait(random.below(30)); // the random moment: in a step, in a checkpoint, or between
  await sitting.kill();
  keep(lossesOf(sitting.stdout), seen);
}

async function toEnd(sitting: Process): Promise<string> {
  const { code } = await sitting.exit;
  equal(code, 0, sitting.output);
  return sitting.stdout;
}

function lossesOf(stdout: string): Losses {
  const lines = stdout.split("\n").filter((line) => line.startsWith("{") && line.endsWith("}"));
  const steps = lines.map((line) => JSON.parse(line)).filter(({ type }) => type === "step");
  return new Map(steps.map(({ step, loss }) => [step, loss]));
}

/** A step that was taken again has the loss that it had. */
function keep(losses: Losses, seen: Losses): void {
  for (const [step, loss] of losses) {
    ok(!seen.has(step) || seen.get(step) === loss, `step ${step} was taken again, otherwise`);
    seen.set(step, loss);
  }
}

/** Every file of the adapter or the model, byte by byte. */
function resultOf(out: string): [string, Buffer][] {
  const names = readdirSync(join(folder, out));
  const result = join(folder, out, names.includes("adapter") ? "adapter" : "model");
  const files = readdirSync(result).filter((name) => name !== "README.md");
  return files.sort(compareText).map((name) => [name, readFileSync(join(result, name))]);
}

function byStep([a]: [number, number], [b]: [number, number]): number {
  return a - b;
}
