// One run from its opening to its report, in this process: the coordinator, workers on this
// machine, the view, and the end. `demo`, `run` and `up` are this with different choices.
import type { CreateRun } from "@manyhands/coordinator/open-run";
import { type Coordinator, startCoordinator } from "@manyhands/coordinator/serve";
import { memoryLimit } from "@manyhands/worker/node/memory-limit";
import { EXIT_INTERRUPTED, EXIT_OK } from "../exit-codes.ts";
import { announceLan, lanPort, openLan } from "../lan/lan.ts";
import type { SettlingBeside } from "../onchain/settle-beside.ts";
import { pageFolder } from "../page/page-folder.ts";
import { type ChainFlags, onChain } from "../pay/chain-flags.ts";
import type { PreparedRun } from "../run-file/freeze.ts";
import { buildTarball } from "../tarball/build-tarball.ts";
import { CommandError } from "../terminal/failure.ts";
import { aborted, type Interrupts, watchInterrupts } from "../terminal/interrupts.ts";
import { type Io, remark } from "../terminal/io.ts";
import { LiveReporter } from "../view/live-reporter.ts";
import { finaliseRun, type Result } from "./finalise.ts";
import { listenAndStart } from "./listen.ts";
import { LocalWorkers } from "./local-workers.ts";
import { announceOpening, announceResult } from "./messages.ts";
import { readRun } from "./read-run.ts";
import { runPaths } from "./run-folder.ts";
import type { Summary } from "./summary.ts";

export type HostOptions = {
  readonly prepared: PreparedRun;
  /** Of a run that is trained and exported already: what is left is to settle it. */
  readonly summary: Summary | null;
  readonly folder: string;
  readonly localWorkers: number;
  /** Of each local worker. Undefined: their share of what is free. */
  readonly memoryBytesMax: number | undefined;
  readonly host: string;
  /** Undefined: the usual port, or any other if it is taken. */
  readonly port: number | undefined;
  /** Answer over HTTPS too, and show a code for phones. */
  readonly lan: boolean;
  /** Print how others join. */
  readonly invites: boolean;
  readonly json: boolean;
  readonly io: Io;
  /** Settle and pay on the run's chain; null: not from here. */
  readonly chain: ChainFlags | null;
};

type Ending = "finished" | "interrupted";

/** @returns the exit code */
export async function hostRun(options: HostOptions): Promise<number> {
  const interrupts = watchInterrupts();
  try {
    const tarball = await buildTarball();
    const lan = options.lan ? await openLan(options.host) : undefined;
    const failure = Promise.withResolvers<never>();
    const settling = await openSettling(options);
    const opening = listenAndStart(options.port, (port) =>
      startCoordinator({
        runFolder: options.folder,
        create: createFrom(options.prepared),
        host: options.host,
        port,
        secure: lan && { ...lan, port: lanPort(port) },
        tarball: () => tarball,
        page: pageFolder(),
        settlements: settling?.desk,
        onFailure: (error) => failure.reject(error),
      }),
    );
    const coordinator = await opening.catch(async (caught: unknown) => {
      await settling?.close();
      throw caught;
    });
    try {
      const live = startLive({ options, coordinator, interrupts, settling });
      if (lan && coordinator.secureJoinUrl) {
        const say = (text: string): void => live.reporter.say(text);
        announceLan(lan, coordinator.secureJoinUrl, { say, paint: options.io.paint });
      }
      return await Promise.race([follow(live), failure.promise]).finally(() => endLive(live));
    } finally {
      await settling?.close();
      await coordinator.close();
    }
  } finally {
    interrupts.release();
  }
}

function createFrom({ run, initialWeights, files }: PreparedRun): CreateRun {
  return { run, weights: initialWeights, files };
}

async function openSettling({ chain, prepared, folder }: HostOptions) {
  if (!chain) return null;
  const { settleBeside } = await onChain(() => import("../onchain/settle-beside.ts"));
  return settleBeside(prepared.run, folder, chain);
}

type Opened = {
  readonly options: HostOptions;
  readonly coordinator: Coordinator;
  readonly interrupts: Interrupts;
  readonly settling: SettlingBeside | null;
};

/** What goes on while a run is open. */
type Live = Opened & {
  readonly reporter: LiveReporter;
  readonly workers: LocalWorkers;
};

function startLive(opened: Opened): Live {
  const { options, coordinator, settling } = opened;
  const { folder, io, json } = options;
  const reporter = new LiveReporter({ coordinator, folder, io, isQuiet: json });
  announceOpening(options, coordinator, (text) => reporter.say(text));
  const count = coordinator.state().phase === "finished" ? 0 : options.localWorkers;
  const workers = new LocalWorkers({
    count,
    memoryBytesMax: options.memoryBytesMax ?? memoryLimit(Math.max(1, count)),
    joinUrl: coordinator.joinUrl,
    folder: runPaths(folder).workers,
    threads: 1,
    program: { node: process.execPath, script: process.argv[1] ?? "" },
    onNotice: (text) => reporter.say(text),
  });
  reporter.start(() => workers.states);
  settling?.start({
    say: (text) => reporter.say(text),
    roundsClosed: () => coordinator.state().roundsClosed,
  });
  return { ...opened, reporter, workers };
}

function endLive({ reporter, workers }: Live): void {
  reporter.stop();
  workers.kill();
}

async function follow(live: Live): Promise<number> {
  const { options, reporter, workers, interrupts } = live;
  const ending = await trainToTheEnd(live);
  if (interrupts.polite.aborted && options.localWorkers > 0) {
    reporter.setNotice("Workers finish what they are sending. Ctrl-C again forces.");
  }
  const forced = aborted(interrupts.forced).then(() => workers.kill());
  await Promise.race([workers.leave(), forced]);
  reporter.stop();
  if (ending === "finished") return finish(live);
  remark(options.io, "Stopped. The same command continues the run where its log ends.");
  return EXIT_INTERRUPTED;
}

/** Until the run is finished, the person stops it, or nobody is left who could train. */
async function trainToTheEnd(live: Live): Promise<Ending> {
  const { options, coordinator, workers, interrupts } = live;
  const finished = coordinator.finished.then((): Ending => "finished");
  const interrupted = aborted(interrupts.polite).then((): Ending => "interrupted");
  if (options.localWorkers === 0) return Promise.race([finished, interrupted]);
  const alone = workers.allEnded.then(async (): Promise<Ending> => {
    const others = [...coordinator.state().workers.values()].some((worker) => worker.active);
    const isOver = coordinator.state().phase === "finished" || interrupts.polite.aborted;
    if (others || isOver) return Promise.race([finished, interrupted]);
    throw new CommandError(`all local workers ended: ${workers.lastWords ?? "no reason given"}`, {
      hint: "The run is kept; the same command continues it.",
    });
  });
  return Promise.race([finished, interrupted, alone]);
}

async function finish(live: Live): Promise<number> {
  const { options, reporter, interrupts, settling } = live;
  const { folder, io, json, summary } = options;
  const result = summary ? { summary, sample: null } : await finalise(live);
  reporter.endProgress();
  if (result === null) {
    remark(io, "Stopped. The run is trained; the same command measures and exports it.");
    return EXIT_INTERRUPTED;
  }
  announceResult(io, { ...result, folder, json });
  // Attestors read the log here, so the address stays until all are paid.
  await settling?.finish(interrupts.polite);
  return EXIT_OK;
}

function finalise({ options, coordinator, reporter, interrupts }: Live): Promise<Result | null> {
  const { prepared, folder } = options;
  return finaliseRun(
    {
      folder,
      run: coordinator.state().run,
      status: coordinator.status(),
      points: readRun(folder).history.points,
      weights: coordinator.weights(),
      files: prepared.files,
      license: prepared.license,
      dataParallelBatch: prepared.dataParallelBatch,
      tuned: prepared.tuned,
    },
    {
      progress: (doing, share) => reporter.progress(doing, share),
      stop: interrupts.polite,
    },
  );
}
