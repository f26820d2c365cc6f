// Chaos with real processes: SIGKILL for coordinators and workers at random moments, then the
// books are checked. The moments come from a seed, which is printed and can be given: CHAOS_SEED.
import { deepEqual, equal, ok } from "node:assert/strict";
import { randomInt } from "node:crypto";
import { cp, mkdtemp, open, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { Random } from "@manyhands/base/random";
import { verifyRun } from "@manyhands/coordinator/verify";
import { Process } from "../process.ts";
import { Swarm } from "./swarm.ts";

const WORKERS = 4;
const COORDINATOR_KILLS = 6;
const WORKER_KILLS = 12;
const TRAINING_MINUTES = 1.25;
const FLIPS = 12;

const seed = Number(process.env["CHAOS_SEED"] ?? randomInt(2 ** 31));
const random = new Random(seed);
let folder = "";
let swarm: Swarm;

before(async () => {
  process.stdout.write(`CHAOS_SEED=${seed}\n`);
  folder = await mkdtemp(join(tmpdir(), "manyhands-chaos-"));
});

after(async () => {
  await swarm?.end();
  await rm(folder, { recursive: true, force: true });
});

test("the run completes although its processes are killed", { timeout: 600_000 }, async () => {
  swarm = await Swarm.start(folder, { workers: WORKERS, minutes: TRAINING_MINUTES });
  for (const victim of shuffledVictims()) {
    await wait(500 + random.below(2_500)); // the random moment
    ok(swarm.coordinator.running, `not over before the last kill:\n${swarm.coordinator.output}`);
    await (victim === "coordinator" ? killCoordinator() : killWorker());
  }
  equal((await swarm.coordinator.exit).code, 0, swarm.coordinator.output);
  for (const worker of swarm.workers) equal((await worker.exit).code, 0, worker.output);
});

test("every update that got a receipt is in the log", async () => {
  const receipts = await swarm.receipts();
  ok(receipts.length > WORKERS, `receipts were given: ${receipts.length}`);
  const logged = loggedUpdates();
  const lost = receipts.filter(({ round, updateRoot }) => !logged.has(`${round} ${updateRoot}`));
  deepEqual(lost, []);
});

test("verify replays the whole log and agrees", { timeout: 300_000 }, async () => {
  const verify = new Process(["verify", swarm.runFolder]);
  equal((await verify.exit).code, 0, verify.output);
});

test("a flipped byte is found and named", { timeout: 600_000 }, async () => {
  const copy = join(folder, "copy");
  await cp(swarm.runFolder, copy, { recursive: true });
  const files = await recordFiles(copy);
  for (let flip = 0; flip < FLIPS; flip++) {
    const path = flip % 2 === 0 ? join(copy, "log.sqlite") : files[random.below(files.length)];
    ok(path, "there are blobs");
    const restore = await flipByte(path);
    const { problems } = await verifyRun(copy);
    const told = problems.map(({ place, problem }) => `${place}: ${problem}`).join("\n");
    const name = path.endsWith(".sqlite") ? /log|row/ : blobName(copy, path);
    ok(problems.length > 0, `seed ${seed}: a flipped byte in ${relative(copy, path)} is found`);
    ok(told.match(name), `seed ${seed}: ${relative(copy, path)} is named in:\n${told}`);
    await restore();
  }
});

function shuffledVictims(): ("coordinator" | "worker")[] {
  const victims = [
    ...new Array<"coordinator">(COORDINATOR_KILLS).fill("coordinator"),
    ...new Array<"worker">(WORKER_KILLS).fill("worker"),
  ];
  return victims
    .map((victim) => ({ victim, key: random.word() }))
    .sort((a, b) => a.key - b.key)
    .map(({ victim }) => victim);
}

async function killCoordinator(): Promise<void> {
  await swarm.coordinator.kill();
  await wait(random.below(500));
  swarm.restartCoordinator();
  await swarm.coordinator.says(/http:\/\/127/);
}

async function killWorker(): Promise<void> {
  const index = random.below(WORKERS);
  await swarm.workers[index]?.kill();
  await wait(random.below(1_000));
  await swarm.startWorker(index);
}

function loggedUpdates(): Set<string> {
  const database = new DatabaseSync(join(swarm.runFolder, "log.sqlite"), { readOnly: true });
  try {
    const rows = database.prepare("SELECT event FROM log ORDER BY sequence").all();
    const events = rows.map((row) => JSON.parse(String(row["event"])));
    const updates = events.filter((event) => event.type === "UpdateCommitted");
    return new Set(updates.map(({ update }) => `${update.round} ${update.updateRoot}`));
  } finally {
    database.close();
  }
}

async function recordFiles(run: string): Promise<string[]> {
  const entries = await readdir(join(run, "blobs"), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Blobs lie in folders named by the first byte of their root. */
function blobName(run: string, path: string): RegExp {
  const root = relative(join(run, "blobs"), path).replaceAll(/[/\\]/g, "");
  return new RegExp(root.slice(0, 8));
}

/** Flips one random bit; the returned function undoes it. */
async function flipByte(path: string): Promise<() => Promise<void>> {
  const offset = random.below((await stat(path)).size);
  const mask = 1 << random.below(8);
  const flip = async (): Promise<void> => {
    const file = await open(path, "r+");
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, offset);
    byte[0] = (byte[0] ?? 0) ^ mask;
    await file.write(byte, 0, 1, offset);
    await file.close();
  };
  await flip();
  return flip;
}
