// A worker as one call: everything that a Node process needs to take part in a run.
// Signals, terminals and exit codes are the caller's; this only has `stop`.
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Sha256 } from "@manyhands/base/hash";
import { ByteMeter } from "@manyhands/net/byte-meter";
import { type MeteredAgents, meteredAgents } from "@manyhands/net/node/agents";
import { nodeHttp } from "@manyhands/net/node/http-client";
import { openTextSocket } from "@manyhands/net/node/text-socket";
import type { Numerics } from "@manyhands/protocol/events";
import type { Payout } from "@manyhands/protocol/keys";
import { NAME_CHARS_MAX, SERVER_MESSAGE_BYTES_MAX } from "@manyhands/protocol/limits";
import type { CoreStatus } from "../core/status.ts";
import type { Identity, StopMode, WorkerEnd } from "../core/types.ts";
import { apiPort } from "../host/api-port.ts";
import { WorkerHost } from "../host/host.ts";
import { type JoinUrl, parseJoinUrl } from "../host/join-url.ts";
import type { ComputePort, WorkerPorts, WorkerTimers } from "../host/ports.ts";
import { BlobCache } from "./blob-cache.ts";
import { type ComputeChoice, chooseCompute } from "./choose-compute.ts";
import { DiskFiles } from "./disk-files.ts";
import { lockFolder } from "./folder-lock.ts";
import { deviceIdentity, verifySignature } from "./identity.ts";
import { ownMemoryLimit } from "./memory-limit.ts";
import { keptPayout } from "./payout.ts";

export type WorkerOptions = {
  /** http://host:port/runs/<run id>#<admission token> */
  readonly url: string;
  /** Keys, state of each run, cache: kept from start to start. One process at a time. */
  readonly folder: string;
  /** What a person calls this device. */
  readonly name: string;
  /** Threads inside one operation. Default 1. */
  readonly threads?: number;
  /** How much memory this process may take. Default: most of what is free now. */
  readonly memoryBytesMax?: number;
  /** Blobs by name, may be shared by workers of one machine. Default: inside the folder. */
  readonly cacheFolder?: string;
  readonly onStatus?: (status: WorkerStatus) => void;
  /** A sentence that a person may want to read. */
  readonly onNotice?: (sentence: string) => void;
  /** Waits before another connection. Default: up to 0.5 s, doubling up to 15 s. */
  readonly reconnect?: { readonly baseMs: number; readonly capMs: number };
  /** On what to train. "auto" takes a GPU that is clearly faster. Default "cpu". */
  readonly compute?: ComputeChoice;
  /** Whom its credit is paid to, from now on. Default: whom the folder names; else nobody. */
  readonly payout?: Payout;
};

export type WorkerStatus = CoreStatus & {
  readonly workerId: string;
  /** Account that its credit is paid to, 20 bytes in hex; null: it only counts. */
  readonly payTo: string | null;
  readonly runId: string;
  /** TCP payload of all sockets that this worker opened: control, blobs, headers. */
  readonly bytesUp: number;
  readonly bytesDown: number;
};

export type RunningWorker = {
  readonly workerId: string;
  readonly runId: string;
  readonly numerics: Numerics;
  /** Resolves with the reason; rejects only on a bug. */
  readonly ended: Promise<WorkerEnd>;
  /** graceful: finishes the current upload and leaves; force: at once. */
  stop(mode: StopMode): void;
  status(): WorkerStatus;
};

/**
 * Takes part in a run until it ends, is stopped, or cannot go on.
 *
 * @throws InputError       if the URL is not a join URL
 * @throws FolderInUseError if another process uses the folder
 * @throws StorageError     if the folder cannot be used
 */
export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  const target = parseJoinUrl(options.url);
  const lock = lockFolder(options.folder);
  try {
    const identity = await deviceIdentity(options.folder);
    const payout = await keptPayout(options.folder, target.runId, options.payout);
    const meter = new ByteMeter();
    const agents = meteredAgents(meter);
    const compute = await openCompute(options, target, agents);
    return run({
      options,
      target,
      identity,
      payout,
      compute,
      meter,
      agents,
      release: () => lock.release(),
    });
  } catch (error) {
    lock.release();
    throw error;
  }
}

type Start = {
  readonly options: WorkerOptions;
  readonly target: JoinUrl;
  readonly identity: Identity;
  readonly payout: Payout | undefined;
  readonly compute: ComputePort;
  readonly meter: ByteMeter;
  readonly agents: MeteredAgents;
  readonly release: () => void;
};

function run(start: Start): RunningWorker {
  const { options, target, identity, payout, compute, meter, agents, release } = start;
  const { workerId } = identity;
  const payTo = payout?.account ?? null;
  const withBytes = (core: CoreStatus): WorkerStatus => {
    const { up, down } = meter.totals();
    return { ...core, workerId, payTo, runId: target.runId, bytesUp: up, bytesDown: down };
  };
  const ports = nodePorts(start);
  const host = new WorkerHost({
    config: {
      runId: target.runId,
      token: target.token,
      name: options.name.slice(0, NAME_CHARS_MAX).toWellFormed() || "worker",
      identity,
      verify: verifySignature,
      numerics: compute.numerics,
      seed: randomBytes(6).readUIntBE(0, 6),
      ...(payout ? { payout } : {}),
      ...(options.reconnect ? { reconnect: options.reconnect } : {}),
    },
    ports,
    events: {
      onStatus: (core) => options.onStatus?.(withBytes(core)),
      onNotice: (sentence) => options.onNotice?.(sentence),
    },
  });
  const ended = host.ended.finally(() => {
    agents.close();
    release();
  });
  host.start();
  return {
    workerId,
    runId: target.runId,
    numerics: compute.numerics,
    ended,
    stop: (mode) => host.stop(mode),
    status: () => withBytes(host.status()),
  };
}

function openCompute(
  { folder, compute: choice = "cpu", threads = 1, memoryBytesMax, onNotice }: WorkerOptions,
  target: JoinUrl,
  agents: MeteredAgents,
): Promise<ComputePort> {
  const nowMicros = (): number => Math.round(performance.now() * 1_000);
  return chooseCompute({
    choice,
    target,
    send: nodeHttp({ agents }),
    folder: join(folder, "device"),
    compute: { threads, nowMicros, memoryBytesMax: memoryBytesMax ?? ownMemoryLimit(), onNotice },
  });
}

function nodePorts({ options, target, compute, agents }: Start): WorkerPorts {
  const { folder, cacheFolder = join(folder, "blobs") } = options;
  const cache = new BlobCache(cacheFolder, sha256);
  return {
    link: {
      open: (events) =>
        openTextSocket({
          url: target.socketUrl,
          agents,
          timers,
          events,
          frameBytesMax: SERVER_MESSAGE_BYTES_MAX,
        }),
    },
    api: apiPort({ runUrl: target.runUrl, send: nodeHttp({ agents }), hash: sha256, cache }),
    compute,
    files: new DiskFiles(join(folder, "runs", target.runId)),
    timers,
    hash: sha256,
  };
}

const timers: WorkerTimers = {
  now: () => performance.now(),
  set(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};

/** The platform's own: ten times faster than the portable one. */
const sha256: Sha256 = (bytes) => createHash("sha256").update(bytes).digest();
