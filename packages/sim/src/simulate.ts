// One seed from beginning to end: builds the swarm, lets time pass, and judges.
// Not a test: simulate.test.ts runs many seeds and looks at what they reached.
import { setImmediate } from "node:timers/promises";
import { MemoryLog } from "@manyhands/coordinator/log/memory-log";
import { positionOf } from "@manyhands/protocol/due";
import { POSITION_END } from "@manyhands/protocol/limits";
import { runIdOf } from "@manyhands/protocol/run-config";
import { Auditor } from "./auditor.ts";
import { CoordinatorDisk } from "./coordinator-disk.ts";
import { CoordinatorProcess } from "./coordinator-process.ts";
import { endWeather, type Swarm, startWeather } from "./faults.ts";
import { KeyRing } from "./keys.ts";
import { Liar } from "./liar.ts";
import { Network } from "./network.ts";
import { type Scenario, scenarioOf } from "./scenario.ts";
import { lossOf, lowestPoint } from "./task.ts";
import { WorkerProcess } from "./worker-process.ts";
import { World } from "./world.ts";

/** The faults stop here, or once most of the budget is spent. */
const STORM_MS_MAX = 180_000;
const STORM_POSITION = 0.7 * POSITION_END;
/** From then on the run has so long to finish, and the workers so long to hear of it. */
const CALM_MS_MAX = 400_000;
const FAREWELL_MS = 90_000;
const EVENTS_MAX = 2_000_000;

export type SimOptions = {
  readonly seed: number;
  readonly onTrace?: ((line: string) => void) | undefined;
};

export type SimReport = {
  readonly seed: number;
  /** What must never happen, if it happened. */
  readonly failure: string | null;
  readonly logHead: string;
  readonly traceHash: string;
  readonly rounds: number;
  readonly virtualMs: number;
  readonly lossBefore: number;
  readonly lossAfter: number;
  readonly counters: ReadonlyMap<string, number>;
};

type Stage = Swarm & { readonly scenario: Scenario; readonly auditor: Auditor };

export async function simulate({ seed, onTrace }: SimOptions): Promise<SimReport> {
  const world = new World(seed, onTrace);
  const stage = build(world, scenarioOf(seed));
  const { scenario, auditor, workers } = stage;
  await pass(stage);
  if (world.failure === null) auditor.finish(stage.disk.log.rows(0, Number.MAX_SAFE_INTEGER));
  if (world.failure === null) for (const worker of workers) checkWorker(stage, worker);
  const target = lowestPoint(seed);
  const lossBefore = lossOf(scenario.weights, target);
  const lossAfter = lossOf(auditor.weights, target);
  const { roundsClosed } = auditor.state;
  if (roundsClosed >= 15 && lossAfter > lossBefore / 2) {
    world.fail(`the loss went from ${lossBefore} to ${lossAfter} in ${roundsClosed} rounds`);
  }
  return {
    seed,
    failure: world.failure,
    logHead: auditor.head,
    traceHash: world.traceHash(),
    rounds: roundsClosed,
    virtualMs: world.time.now(),
    lossBefore,
    lossAfter,
    counters: world.counters,
  };
}

function build(world: World, scenario: Scenario): Stage {
  const { run, weights } = scenario;
  const network = new Network(world);
  const ring = new KeyRing();
  const runId = runIdOf(run);
  const keys = ring.create("coordinator");
  const disk = new CoordinatorDisk(new MemoryLog({ runId, sign: keys.sign }));
  disk.blobs.write(scenario.text);
  const honest = new Set(scenario.devices.map(({ name }) => name));
  const common = { world, network, ring, runId };
  const liars = liarsOf(scenario, common);
  const auditor = new Auditor({
    world,
    ring,
    runId,
    authority: keys.key,
    run,
    weights,
    blobs: disk.blobs,
    isHonest: (name) => honest.has(name),
    overhear: (text) => {
      for (const liar of liars) liar.overhear(text);
    },
  });
  const restarts = world.chance("faults");
  const coordinator = new CoordinatorProcess({
    world,
    network,
    disk,
    auditor,
    keys,
    ring,
    create: { run, weights },
    checkpointEvery: scenario.checkpointEvery,
    restartMs: () => restarts.between(50, 6_000),
  });
  const workers = workersOf(scenario, { ...common, auditor });
  const stage = { world, network, disk, coordinator, workers, scenario, auditor };
  begin(stage, liars);
  return stage;
}

type Common = {
  readonly world: World;
  readonly network: Network;
  readonly ring: KeyRing;
  readonly runId: string;
};

function liarsOf({ liars, run }: Scenario, { world, network, ring, runId }: Common): Liar[] {
  return liars.map((name) => {
    const chance = world.chance("liars");
    return new Liar({ world, network, chance, name, keys: ring.create(name), run, runId });
  });
}

function workersOf(
  { devices }: Scenario,
  { world, network, ring, runId, auditor }: Common & { readonly auditor: Auditor },
): WorkerProcess[] {
  const chance = world.chance("devices");
  return devices.map(({ name, stepMs }) => {
    const keys = ring.create(name);
    return new WorkerProcess({ world, network, auditor, chance, name, keys, runId, stepMs });
  });
}

function begin(stage: Stage, liars: readonly Liar[]): void {
  const { world, coordinator, workers, scenario } = stage;
  coordinator.start();
  for (const [index, { startsAt }] of scenario.devices.entries()) {
    world.time.after(startsAt, () => workers[index]?.start());
  }
  for (const liar of liars) world.time.after(10, () => liar.start());
  startWeather(stage, scenario.weather);
  if (scenario.stopAt !== null) world.time.after(scenario.stopAt, () => stop(stage));
}

/** An owner who wants the run to end says so until it has. */
function stop(stage: Stage): void {
  const { world, coordinator, auditor } = stage;
  if (auditor.begun && auditor.state.phase === "finished") return;
  world.count("stops asked for");
  coordinator.core?.stop();
  world.time.after(2_000, () => stop(stage));
}

/** Until the run is over and everybody knows, or the time is up. */
async function pass(stage: Stage): Promise<void> {
  const { world, auditor, workers } = stage;
  let finishedAt: number | null = null;
  for (let events = 0; world.failure === null; events++) {
    if (events > EVENTS_MAX) world.fail(`more than ${EVENTS_MAX} events`);
    if (!world.time.step()) break;
    await setImmediate();
    const now = world.time.now();
    const finished = auditor.begun && auditor.state.phase === "finished";
    if (world.stormy && (finished || isCalmDue(stage))) endWeather(stage);
    if (finished) {
      finishedAt ??= now;
      if (workers.every(({ end }) => end?.reason === "finished" || end?.reason === "run-finished"))
        return;
      if (now > finishedAt + FAREWELL_MS)
        world.fail(`not everybody heard of the end: ${who(stage)}`);
    } else if (world.calmMs() > CALM_MS_MAX) {
      world.fail(`not finished ${CALM_MS_MAX / 1000} s after the faults stopped: ${who(stage)}`);
    }
  }
}

function isCalmDue({ world, auditor }: Stage): boolean {
  if (world.time.now() > STORM_MS_MAX) return true;
  return auditor.begun && positionOf(auditor.state) >= STORM_POSITION;
}

function who({ workers, auditor, coordinator }: Stage): string {
  const { phase, roundsClosed } = auditor.state;
  const states = workers.map((worker) => `${worker.name}: ${worker.statusText()}`);
  const host = coordinator.core ? "up" : "down";
  return `phase ${phase}, ${roundsClosed} rounds, coordinator ${host}; ${states.join("; ")}`;
}

/** What an honest worker believes that it gave is what the log credits. */
function checkWorker({ world, auditor, disk }: Stage, worker: WorkerProcess): void {
  const { name, receipts, identity } = worker;
  const logged = auditor.accepted.get(identity.workerId) ?? 0;
  const differs = worker.keepsUpdate ? worker.tokensGiven > logged : worker.tokensGiven !== logged;
  if (differs) world.fail(`${name} counts ${worker.tokensGiven} tokens, the log ${logged}`);
  for (const { sequence, head } of receipts) {
    const [row] = disk.log.rows(sequence, 1);
    if (row?.head !== head) world.fail(`${name} keeps a receipt for a row that is not in the log`);
  }
}
