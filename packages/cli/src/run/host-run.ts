// One run from its opening to its report, in this process: the coordinator, workers on this machine, the
// view, and the end. `demo`, `run` and `up` are this with different choices.
import { type Coordinator, startCoordinator } from "@manyhands/coordinator/serve";
import { EXIT_INTERRUPTED, EXIT_OK } from "../exit-codes.ts";
import type { PreparedRun } from "../run-file/freeze.ts";
import { buildTarball } from "../tarball/build-tarball.ts";
import { CommandError } from "../terminal/failure.ts";
import { aborted, type Interrupts, watchInterrupts } from "../terminal/interrupts.ts";
import { type Io, remark } from "../terminal/io.ts";
import { LiveReporter } from "../view/live-reporter.ts";
import { finaliseRun } from "./finalise.ts";
import { listenAndStart } from "./listen.ts";
import { LocalWorkers } from "./local-workers.ts";
import { announceOpening, announceResult } from "./messages.ts";
import { readRun } from "./read-run.ts";
import { runPaths } from "./run-folder.ts";

export type HostOptions = {
  readonly prepared: PreparedRun;
  readonly folder: string;
  readonly localWorkers: number;
  readonly host: string;
  /** Undefined: the usual port, or any other if it is taken. */
  readonly port: number | undefined;
  /** Print how others join. */
  readonly invites: boolean;
  readonly json: boolean;
  readonly io: Io;
};

type Ending = "finished" | "interrupted";

/** @returns the exit code */
export async function hostRun(options: HostOptions): Promise<number> {
  const { prepared, folder, io } = options;
  const interrupts = watchInterrupts();
  const failure = Promise.withResolvers<never>();
  const tarball = await buildTarball();
  const coordinator = await listenAndStart(options.port, (port) =>
    startCoordinator({
      runFolder: folder,
      create: { run: prepared.run, weights: prepared.initialWeights, files: prepared.files },
      host: options.host,
      port,
      tarball: () => tarball,
      onFailure: (error) => failure.reject(error),
    }),
  );
  const reporter = new LiveReporter({ coordinator, folder, io, isQuiet: options.json });
  const workers = new LocalWorkers({
    count: coordinator.state().phase === "finished" ? 0 : options.localWorkers,
    joinUrl: coordinator.joinUrl,
    folder: runPaths(folder).workers,
    threads: 1,
    program: { node: process.execPath, script: process.argv[1] ?? "" },
    onNotice: (text) => reporter.say(text),
  });
  try {
    announceOpening(options, coordinator, (text) => reporter.say(text));
    reporter.start(() => workers.states);
    const ending = await Promise.race([
      trainToTheEnd(options, coordinator, workers, interrupts),
      failure.promise,
    ]);
    await leaveAll(workers, interrupts, (text) => reporter.setNotice(text));
    if (ending === "interrupted") {
      reporter.stop();
      remark(io, "Stopped. The same command continues the run where its log ends.");
      return EXIT_INTERRUPTED;
    }
    return await finish(options, coordinator, { reporter, interrupts });
  } finally {
    reporter.stop();
    workers.kill();
    await coordinator.close();
    interrupts.release();
  }
}

/** Until the run is finished, the person stops it, or nobody is left who could train. */
async function trainToTheEnd(
  options: HostOptions,
  coordinator: Coordinator,
  workers: LocalWorkers,
  interrupts: Interrupts,
): Promise<Ending> {
  const finished = coordinator.finished.then((): Ending => "finished");
  const interrupted = aborted(interrupts.polite).then((): Ending => "interrupted");
  if (options.localWorkers === 0) return Promise.race([finished, interrupted]);
  const alone = workers.allEnded.then(async (): Promise<Ending> => {
    const others = [...coordinator.state().workers.values()].some((worker) => worker.active);
    if (others || interrupts.polite.aborted) return Promise.race([finished, interrupted]);
    throw new CommandError(`all local workers ended: ${workers.lastWords ?? "no reason given"}`, {
      hint: "The run is kept; the same command continues it.",
    });
  });
  return Promise.race([finished, interrupted, alone]);
}

/** Politely; at the second Ctrl-C at once. */
async function leaveAll(
  workers: LocalWorkers,
  interrupts: Interrupts,
  say: (text: string) => void,
): Promise<void> {
  if (interrupts.polite.aborted) say("Workers finish what they are sending. Ctrl-C again forces.");
  const forced = aborted(interrupts.forced).then(() => workers.kill());
  await Promise.race([workers.leave(), forced]);
}

async function finish(
  options: HostOptions,
  coordinator: Coordinator,
  live: { readonly reporter: LiveReporter; readonly interrupts: Interrupts },
): Promise<number> {
  const { prepared, folder, io, json } = options;
  const { reporter, interrupts } = live;
  reporter.stop();
  const stop = aborted(interrupts.polite).then((): null => null);
  const result = await Promise.race([
    finaliseRun(
      {
        folder,
        run: coordinator.state().run,
        status: coordinator.status(),
        points: readRun(folder).history.points,
        weights: coordinator.weights(),
        files: prepared.files,
        license: prepared.license,
      },
      (doing, share) => reporter.progress(doing, share),
    ),
    stop,
  ]);
  reporter.endProgress();
  if (result === null) {
    remark(io, "Stopped. The run is trained; the same command measures and exports it.");
    return EXIT_INTERRUPTED;
  }
  announceResult(io, { ...result, folder, json });
  return EXIT_OK;
}
