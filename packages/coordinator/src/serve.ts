// The coordinator as a program uses it: a run folder, a port, and the run goes on.
// Not a command: texts for people and exit codes are the command line's.
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { InputError } from "@manyhands/base/errors";
import type { FinishReason, RunEvent } from "@manyhands/protocol/events";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { runIdOf } from "@manyhands/protocol/run-config";
import type { RunState } from "@manyhands/protocol/state";
import { platformSha256, rootOfBytes } from "./blobs/blob-hasher.ts";
import { DiskBlobs } from "./blobs/disk-blobs.ts";
import { CoordinatorCore } from "./core/coordinator-core.ts";
import type { CorePorts } from "./core/ports.ts";
import { DiskError, RunFolderError } from "./errors.ts";
import { lockFolder, type RunPaths, runPaths } from "./folder.ts";
import type { History } from "./history.ts";
import { openKeys, type RunKeys, sameSecret, verifySignature } from "./keys.ts";
import { writeDigest } from "./log/digest.ts";
import { decodeRow } from "./log/log.ts";
import { SqliteLog } from "./log/sqlite-log.ts";
import type { HostedRun } from "./server/hosted-run.ts";
import type { ServerLimits } from "./server/limits.ts";
import type { RunMaker } from "./server/owner-routes.ts";
import type { SecureDoorOptions } from "./server/secure-door.ts";
import { type ServerOptions, startServer } from "./server/server.ts";
import { RunTraffic } from "./server/traffic.ts";
import type { RunStatus } from "./status.ts";
import { systemClock } from "./system-clock.ts";

export type CreateRun = {
  readonly run: FrozenRun;
  /** The initial weights, flat, in the order of run.fragments. */
  readonly weights: Float32Array;
  /** The data set's files, in the order of run.dataset.files. */
  readonly files: readonly Uint8Array[];
};

export type CoordinatorOptions = {
  readonly runFolder: string;
  /** For a folder without a log. With one, it must be the same run, which then continues. */
  readonly create?: CreateRun | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  /** What workers reach this coordinator by, if it is not host and port: https://example.org */
  readonly publicUrl?: string | undefined;
  /** A second port, with TLS: what phones need. */
  readonly secure?: SecureDoorOptions | undefined;
  readonly tarball?: (() => Uint8Array) | undefined;
  /** A folder with the built page (apps/web). Without it only a front page is served. */
  readonly page?: string | undefined;
  readonly checkpointEvery?: number | undefined;
  readonly limits?: Partial<ServerLimits> | undefined;
  /** Makes further runs that an owner asks for in the page. */
  readonly maker?: RunMaker | undefined;
  /** The run has stopped itself: a bug, or a damaged file. The caller closes. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
};

export type EventListener = (event: RunEvent, state: RunState) => void;

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

const TRAFFIC_KEY = "traffic";

/**
 * Begins a run, or continues it where its log ends, and serves it.
 *
 * @throws FolderLockedError, CorruptLogError, RunFolderError, DiskError, ListenError, InputError
 */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const paths = runPaths(options.runFolder);
  const unlock = lockFolder(paths);
  let opened: OpenedRun | null = null;
  try {
    opened = openRun(paths, options);
    return await serveRun(opened, { options, unlock, paths });
  } catch (error) {
    opened?.core.close();
    opened?.log.close();
    unlock();
    throw error;
  }
}

type OpenedRun = {
  readonly core: CoordinatorCore;
  readonly log: SqliteLog;
  readonly blobs: DiskBlobs;
  readonly keys: RunKeys;
  readonly listeners: Set<EventListener>;
  readonly finished: Promise<FinishReason>;
  readonly checkFinished: () => void;
};

function openRun(paths: RunPaths, options: CoordinatorOptions): OpenedRun {
  const { create } = options;
  const blobs = new DiskBlobs(paths.blobs);
  const keys = openKeys(paths.keys);
  // The digest is of a closed log; from here on the log changes.
  rmSync(paths.digest, { force: true });
  const log = openLog(paths, keys, create);
  try {
    if (create && log.head().length === 0) storeFiles(create, blobs);
    const listeners = new Set<EventListener>();
    const { promise, resolve } = Promise.withResolvers<FinishReason>();
    const ports: CorePorts = {
      clock: systemClock,
      log,
      blobs,
      authority: keys.authority,
      sign: keys.sign,
      verify: verifySignature,
      randomBytes: (count) => new Uint8Array(randomBytes(count)),
      sha256: platformSha256,
    };
    const core = new CoordinatorCore({
      ports,
      admits: (token) => sameSecret(token, keys.admissionToken),
      create,
      checkpointEvery: options.checkpointEvery,
      onEvent: (event, state) => {
        for (const listener of listeners) listener(event, state);
      },
      onFailure: options.onFailure,
    });
    const checkFinished = () => {
      const { finishReason } = core.state;
      if (finishReason !== null) resolve(finishReason);
    };
    return { core, log, blobs, keys, listeners, finished: promise, checkFinished };
  } catch (error) {
    log.close();
    throw error;
  }
}

/** The run's id is in its first row; an empty log gets it from what is to be created. */
function openLog(paths: RunPaths, keys: RunKeys, create: CreateRun | undefined): SqliteLog {
  let runId = create ? runIdOf(create.run) : "";
  const log = new SqliteLog(paths.log, {
    get runId() {
      return runId;
    },
    sign: keys.sign,
  });
  const first = log.rows(0, 1)[0];
  if (!first) return log;
  const event = decodeRow(first);
  const found = event.ok && event.value.type === "RunCreated" ? runIdOf(event.value.run) : null;
  if (found !== null && create && found !== runId) {
    log.close();
    throw new RunFolderError(`${paths.folder} holds run ${found}, not run ${runId}`, {
      hint: "choose another folder: a changed run file is another run",
    });
  }
  // A first row that is damaged is named by the core, with its number.
  runId = found ?? runId;
  return log;
}

function storeFiles(create: CreateRun, blobs: DiskBlobs): void {
  const { files } = create.run.dataset;
  for (const [index, file] of files.entries()) {
    const bytes = create.files[index];
    if (bytes === undefined || rootOfBytes(bytes) !== file.root) {
      throw new InputError(`data file ${file.name}: its bytes are not those that the run names`, {
        hint: "the file has changed since the run was frozen: start again",
      });
    }
    blobs.write(bytes);
  }
}

type ServeParts = {
  readonly options: CoordinatorOptions;
  readonly unlock: () => void;
  readonly paths: RunPaths;
};

function serverOptions(options: CoordinatorOptions, run: HostedRun, runId: string): ServerOptions {
  const { host = "127.0.0.1", port = 0, secure, tarball, page, limits, maker } = options;
  const runs = new Map([[runId, run]]);
  return { runs, host, port, secure, tarball, page, limits, maker, now: systemClock.now };
}

async function serveRun(opened: OpenedRun, parts: ServeParts): Promise<Coordinator> {
  const { core, log, blobs, keys, listeners } = opened;
  const { options, unlock, paths } = parts;
  const { runId } = core.state;
  const traffic = new RunTraffic(log.sideValue(TRAFFIC_KEY));
  const { admissionToken, ownerToken } = keys;
  const { exportFolder } = paths;
  const tokens = { admissionToken, ownerToken };
  const hosted: HostedRun = { core, log, blobs, ...tokens, traffic, exportFolder };
  const server = await startServer(serverOptions(options, hosted, runId));
  const keepTraffic = () => {
    server.meter.settleAll();
    try {
      log.putSideValue(TRAFFIC_KEY, traffic.record());
    } catch (error) {
      // Only a count, and the next round stores it again: a full disk must not stop anything here.
      if (!(error instanceof DiskError)) throw error;
    }
  };
  listeners.add((event) => {
    if (event.type === "RoundClosed") keepTraffic();
    // Later in this turn the last weights are stored; then the run is finished for everybody.
    if (event.type === "RunFinished") setImmediate(opened.checkFinished);
  });
  opened.checkFinished();
  let closing: Promise<void> | null = null;
  const close = async () => {
    core.close();
    await server.close();
    keepTraffic();
    log.close();
    writeDigest(paths.log, paths.digest);
    unlock();
  };
  const runUrl = `${(options.publicUrl ?? server.url).replace(/\/$/, "")}/runs/${runId}`;
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
      return core.status(traffic.totals());
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
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}
