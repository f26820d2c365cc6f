// The weather: faults at random moments, until it is told to stop. What it breaks comes back.
// Not the liars: those never stop.
import type { CoordinatorDisk } from "./coordinator-disk.ts";
import type { CoordinatorProcess } from "./coordinator-process.ts";
import type { Network } from "./network.ts";
import type { Weather } from "./scenario.ts";
import type { WorkerProcess } from "./worker-process.ts";
import type { Chance, World } from "./world.ts";

export type Swarm = {
  readonly world: World;
  readonly network: Network;
  readonly disk: CoordinatorDisk;
  readonly coordinator: CoordinatorProcess;
  readonly workers: readonly WorkerProcess[];
};

export function startWeather(swarm: Swarm, weather: Weather): void {
  const { world, network, disk, coordinator, workers } = swarm;
  const chance = world.chance("faults");
  const every = (meanMs: number | null, strike: () => void): void => {
    if (meanMs !== null) again({ world, chance, meanMs, strike });
  };
  const someone = (): WorkerProcess | undefined => chance.pick(workers);
  every(weather.coordinatorCrashMs, () => coordinator.crash());
  every(weather.crashInWriteMs, () => {
    disk.crashIn = chance.between(1, 8);
  });
  every(weather.workerCrashMs, () => {
    const worker = someone();
    worker?.crash();
    if (worker) returns(world, worker, chance.between(100, 15_000));
  });
  every(weather.cutMs, () => network.cutOne());
  every(weather.silenceMs, () => someone()?.silence(chance.between(500, 20_000)));
  every(weather.leaveMs, () => {
    const worker = someone();
    worker?.leave();
    if (worker) returns(world, worker, chance.between(3_000, 30_000));
  });
  every(weather.diskFullMs, () => {
    world.count("full disks");
    disk.fullUntil = world.time.now() + chance.between(200, 5_000);
  });
  every(weather.pauseMs, () => {
    world.count("pauses asked for");
    coordinator.core?.pause();
    resumes(world, coordinator, chance.between(500, 6_000));
  });
}

type Repeated = {
  readonly world: World;
  readonly chance: Chance;
  readonly meanMs: number;
  readonly strike: () => void;
};

function again(repeated: Repeated): void {
  const { world, chance, meanMs, strike } = repeated;
  world.time.after(chance.waitMs(meanMs), () => {
    if (!world.stormy) return;
    strike();
    again(repeated);
  });
}

/** A worker is started again until it runs: it may still be leaving when its time comes. */
function returns(world: World, worker: WorkerProcess, ms: number): void {
  world.time.after(ms, () => {
    if (worker.running) return;
    worker.start();
  });
}

/** An owner who finds no coordinator tries again. */
function resumes(world: World, coordinator: CoordinatorProcess, ms: number): void {
  world.time.after(ms, () => {
    const { core } = coordinator;
    if (core) core.resume();
    else resumes(world, coordinator, 1_000);
  });
}

/** Fair weather: whoever is down gets up again, and nothing breaks any more. */
export function endWeather({ world, disk, coordinator, workers }: Swarm): void {
  world.becomeCalm();
  world.trace("weather", "the faults stop");
  disk.crashIn = null;
  disk.fullUntil = 0;
  for (const worker of workers) returns(world, worker, 25_000);
  for (const worker of workers) if (!worker.running) worker.start();
  resumes(world, coordinator, 10_000);
}
