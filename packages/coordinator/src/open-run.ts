// A run's folder opened: lock, keys, log, blobs and core, and what follows when it is finished.
// Not served yet: serve.ts.
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { InputError } from "@manyhands/base/errors";
import type { FinishReason, RunEvent } from "@manyhands/protocol/events";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { namedBlobsOf, runIdOf } from "@manyhands/protocol/run-config";
import type { RunState } from "@manyhands/protocol/state";
import { platformSha256, rootOfBytes } from "./blobs/blob-hasher.ts";
import { DiskBlobs } from "./blobs/disk-blobs.ts";
import { CoordinatorCore } from "./core/coordinator-core.ts";
import type { CorePorts } from "./core/ports.ts";
import { RunFolderError } from "./errors.ts";
import { lockFolder, type RunPaths, runPaths } from "./folder.ts";
import { openKeys, type RunKeys, sameSecret, verifySignature } from "./keys.ts";
import { decodeRow } from "./log/log.ts";
import { SqliteLog } from "./log/sqlite-log.ts";
import type { SettlementDesk } from "./settlement-desk.ts";
import { systemClock } from "./system-clock.ts";

export type CreateRun = {
  readonly run: FrozenRun;
  /** The initial weights, flat, in the order of run.fragments. */
  readonly weights: Float32Array;
  /** Contents of the blobs that the run names, in the order of the protocol's namedBlobsOf. */
  readonly files: readonly Uint8Array[];
};

export type RunOptions = {
  readonly runFolder: string;
  /** For a folder without a log. With one, it must be the same run, which then continues. */
  readonly create?: CreateRun | undefined;
  readonly checkpointEvery?: number | undefined;
  /** What is settled of it, if somebody beside the coordinator does that. */
  readonly settlements?: SettlementDesk | undefined;
  /** The run has stopped itself: a bug, or a damaged file. The caller closes. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
};

export type EventListener = (event: RunEvent, state: RunState) => void;

export type OpenedRun = {
  readonly paths: RunPaths;
  readonly unlock: () => void;
  readonly core: CoordinatorCore;
  readonly log: SqliteLog;
  readonly blobs: DiskBlobs;
  readonly keys: RunKeys;
  readonly listeners: Set<EventListener>;
  readonly finished: Promise<FinishReason>;
  readonly checkFinished: () => void;
};

/** @throws FolderLockedError, CorruptLogError, RunFolderError, DiskError, InputError */
export function openRun(options: RunOptions): OpenedRun {
  const paths = runPaths(options.runFolder);
  const unlock = lockFolder(paths);
  try {
    return { ...openLocked(paths, options), paths, unlock };
  } catch (error) {
    unlock();
    throw error;
  }
}

function openLocked(paths: RunPaths, options: RunOptions): Omit<OpenedRun, "paths" | "unlock"> {
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
  for (const [index, { root }] of namedBlobsOf(create.run).entries()) {
    const bytes = create.files[index];
    if (bytes === undefined || rootOfBytes(bytes) !== root) {
      const name = files[index] ? `data file ${files[index].name}` : "the model's own file";
      throw new InputError(`${name}: its bytes are not those that the run names`, {
        hint: "the file has changed since the run was frozen: start again",
      });
    }
    blobs.write(bytes);
  }
}
