// Coordinators as a program uses them: a run's folder, a port, and it goes on; or a host of many.
// Not a command: texts for people and exit codes are the command line's.
import { defined } from "@manyhands/base/assert";
import type { FinishReason } from "@manyhands/protocol/events";
import type { RunState } from "@manyhands/protocol/state";
import { DiskError } from "./errors.ts";
import type { History } from "./history.ts";
import { writeDigest } from "./log/digest.ts";
import { type EventListener, type OpenedRun, openRun, type RunOptions } from "./open-run.ts";
import type { HostedRun } from "./server/hosted-run.ts";
import type { ServerLimits } from "./server/limits.ts";
import type { RunMaker } from "./server/owner-routes.ts";
import type { SecureDoorOptions } from "./server/secure-door.ts";
import { type RunningServer, type ServerOptions, startServer } from "./server/server.ts";
import { RunTraffic } from "./server/traffic.ts";
import type { SettlementDesk } from "./settlement-desk.ts";
import type { RunStatus } from "./status.ts";
import { systemClock } from "./system-clock.ts";

export type HostOptions = {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  /** What workers reach this coordinator by, if it is not host and port: https://example.org */
  readonly publicUrl?: string | undefined;
  /** A second port, with TLS: what phones need. */
  readonly secure?: SecureDoorOptions | undefined;
  readonly tarball?: (() => Uint8Array) | undefined;
  /** A folder with the built page (apps/web). Without it only a front page is served. */
  readonly page?: string | undefined;
  readonly limits?: Partial<ServerLimits> | undefined;
  /** Makes further runs that an owner asks for in the page. */
  readonly maker?: RunMaker | undefined;
};

export type CoordinatorOptions = RunOptions & HostOptions;

export type Coordinator = {
  readonly runId: string;
  /** http://host:port */
  readonly url: string;
  readonly runUrl: string;
  /** With the admission token in its fragment. */
  readonly joinUrl: string;
  /** The same at the port with TLS, if there is one. */
  readonly secureJoinUrl: string | null;
  readonly admissionToken: string;
  readonly ownerToken: string;
  state(): RunState;
  status(): RunStatus;
  history(): History;
  /** A copy of the shared weights after the rounds closed so far. */
  weights(): Float32Array;
  /** @returns how to stop listening */
  onEvent(listener: EventListener): () => void;
  /**
   * Settles when the run is finished and its last weights are stored. Never, if it fails:
   * onFailure.
   */
  readonly finished: Promise<FinishReason>;
  pause(): void;
  resume(): void;
  stop(): void;
  close(): Promise<void>;
};

/** One address for any number of runs, which may come while it is open. */
export type Host = {
  readonly url: string;
  readonly secureUrl: string | null;
  /** Those that it was opened with. */
  readonly runs: readonly HostedCoordinator[];
  /** @throws as startCoordinator, but for ListenError */
  open(options: RunOptions): HostedCoordinator;
  close(): Promise<void>;
};

/** A run of a host: it is closed with it. */
export type HostedCoordinator = Omit<Coordinator, "close">;

const TRAFFIC_KEY = "traffic";

/**
 * Begins a run, or continues it where its log ends, and serves it.
 *
 * @throws FolderLockedError, CorruptLogError, RunFolderError, DiskError, ListenError, InputError
 */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const host = await startHost(options, [options]);
  const [run] = host.runs;
  return { ...defined(run, "the host was opened with a run"), close: host.close };
}

/**
 * Serves runs, each from its own folder, at one address.
 *
 * @throws as startCoordinator; what was opened is closed again
 */
export async function startHost(
  options: HostOptions,
  first: readonly RunOptions[] = [],
): Promise<Host> {
  const seats: Seat[] = [];
  const hosted = new Map<string, HostedRun>();
  const sit = (run: RunOptions): Seat => {
    const seat = seatOf(openRun(run), run.settlements ?? null);
    seats.push(seat);
    hosted.set(seat.opened.core.state.runId, seat.hosted);
    return seat;
  };
  let server: RunningServer;
  try {
    // Before anybody can ask: a run that is not there yet would be refused.
    for (const run of first) sit(run);
    server = await startServer(serverOptions(options, hosted));
  } catch (error) {
    for (const { opened } of seats) letGo(opened);
    throw error;
  }
  const place = { server, publicUrl: options.publicUrl };
  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    for (const { opened } of seats) opened.core.close();
    await server.close();
    for (const seat of seats) leave(seat, server);
  };
  return {
    url: server.url,
    secureUrl: server.secureUrl,
    runs: seats.map((seat) => coordinatorOf(seat, place)),
    open: (run) => coordinatorOf(sit(run), place),
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

function serverOptions(options: HostOptions, runs: ReadonlyMap<string, HostedRun>): ServerOptions {
  const { host = "127.0.0.1", port = 0, secure, tarball, page, limits, maker } = options;
  return { runs, host, port, secure, tarball, page, limits, maker, now: systemClock.now };
}

/** A run and what the server knows of it. */
type Seat = { readonly opened: OpenedRun; readonly hosted: HostedRun };

function seatOf(opened: OpenedRun, settlements: SettlementDesk | null): Seat {
  const { core, log, blobs, keys, paths } = opened;
  const traffic = new RunTraffic(log.sideValue(TRAFFIC_KEY));
  const { admissionToken, ownerToken } = keys;
  const { exportFolder } = paths;
  return {
    opened,
    hosted: {
      ...{ core, log, blobs, admissionToken, ownerToken, traffic },
      ...{ exportFolder, settlements },
    },
  };
}

/** What did not come to be served. */
function letGo({ core, log, unlock }: OpenedRun): void {
  core.close();
  log.close();
  unlock();
}

function leave(seat: Seat, server: RunningServer): void {
  const { log, paths, unlock } = seat.opened;
  keepTraffic(seat, server);
  log.close();
  writeDigest(paths.log, paths.digest);
  unlock();
}

function keepTraffic({ opened, hosted }: Seat, server: RunningServer): void {
  server.meter.settleAll();
  try {
    opened.log.putSideValue(TRAFFIC_KEY, hosted.traffic.record());
  } catch (error) {
    // Only a count, and the next round stores it again: a full disk must not stop anything here.
    if (!(error instanceof DiskError)) throw error;
  }
}

type Place = { readonly server: RunningServer; readonly publicUrl: string | undefined };

function coordinatorOf(seat: Seat, { server, publicUrl }: Place): HostedCoordinator {
  const { opened, hosted } = seat;
  const { core, keys, listeners } = opened;
  const { runId } = core.state;
  const { admissionToken, ownerToken } = keys;
  listeners.add((event) => {
    if (event.type === "RoundClosed") keepTraffic(seat, server);
    // Later in this turn the last weights are stored; then the run is finished for everybody.
    if (event.type === "RunFinished") setImmediate(opened.checkFinished);
  });
  opened.checkFinished();
  const runUrl = `${(publicUrl ?? server.url).replace(/\/$/, "")}/runs/${runId}`;
  return {
    runId,
    url: server.url,
    runUrl,
    joinUrl: `${runUrl}#${admissionToken}`,
    secureJoinUrl: server.secureUrl && `${server.secureUrl}/runs/${runId}#${admissionToken}`,
    admissionToken,
    ownerToken,
    state: () => core.state,
    status: () => {
      server.meter.settleAll();
      return core.status(hosted.traffic.totals());
    },
    history: () => core.history,
    weights: () => core.weights.slice(),
    onEvent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    finished: opened.finished,
    pause: () => core.pause(),
    resume: () => core.resume(),
    stop: () => core.stop(),
  };
}
