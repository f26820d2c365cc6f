// The coordinator's disk: what is on it survives a crash, and a crash can come in the middle of any
// write: before the bytes are safe, or after, when nobody has been told yet. It can also be full.

import type { Json } from "@manyhands/base/canonical";
import { ManyhandsError } from "@manyhands/base/errors";
import type { CoreBlobs } from "@manyhands/coordinator/blobs/blob-store";
import { MemoryBlobs } from "@manyhands/coordinator/blobs/memory-blobs";
import { DiskError, LogConflictError } from "@manyhands/coordinator/errors";
import type { Log, LogHead, LogRow } from "@manyhands/coordinator/log/log";
import type { MemoryLog } from "@manyhands/coordinator/log/memory-log";
import type { RunEvent } from "@manyhands/protocol/events";
import type { Life } from "./virtual-time.ts";
import type { Chance, World } from "./world.ts";

/** Ends a process in the middle of whatever it does. */
export class ProcessDied extends ManyhandsError {
  override readonly name = "ProcessDied";
}

/** As the operating system says it. */
class NoSpace extends ManyhandsError {
  override readonly name = "NoSpace";
  readonly code = "ENOSPC";
}

export type OnRows = (rows: readonly LogRow[]) => void;

/** What outlives processes. */
export class CoordinatorDisk {
  readonly log: MemoryLog;
  readonly blobs = new MemoryBlobs();
  fullUntil = 0;
  /** Writes until the process dies in one; null for never. */
  crashIn: number | null = null;

  constructor(log: MemoryLog) {
    this.log = log;
  }
}

type MountOptions = {
  readonly disk: CoordinatorDisk;
  readonly life: Life;
  readonly world: World;
  readonly chance: Chance;
  readonly onRows: OnRows;
  readonly onDeath: () => void;
};

/** The disk as one process sees it. */
export class MountedDisk {
  readonly log: Log;
  readonly blobs: CoreBlobs;
  readonly #options: MountOptions;

  constructor(options: MountOptions) {
    this.#options = options;
    this.log = this.#mountLog(options);
    this.blobs = this.#mountBlobs(options.disk.blobs);
  }

  #mountLog({ disk, onRows }: MountOptions): Log {
    const { log } = disk;
    return {
      append: (expectedHead: string, events: readonly RunEvent[]): readonly LogRow[] =>
        this.#write("append to the log", () => {
          const { head } = log.head();
          if (head !== expectedHead) throw new LogConflictError(expectedHead, head);
          const rows = log.append(expectedHead, events);
          onRows(rows);
          return rows;
        }),
      rows: (from: number, limit: number) => log.rows(from, limit),
      head: (): LogHead => log.head(),
      sideValue: (key: string) => log.sideValue(key),
      putSideValue: (key: string, value: Json) =>
        this.#write(`keep ${key}`, () => log.putSideValue(key, value)),
      close: () => undefined,
    };
  }

  #mountBlobs(blobs: MemoryBlobs): CoreBlobs {
    return {
      size: (root) => blobs.size(root),
      read: (root) => blobs.read(root),
      write: (bytes) => this.#write("write a blob", () => blobs.write(bytes)),
      remove: (root) => this.#write("remove a blob", () => blobs.remove(root)),
      roots: () => blobs.roots(),
    };
  }

  #write<T>(doing: string, write: () => T): T {
    const { disk, life, world, chance } = this.#options;
    if (!life.alive) throw new ProcessDied(`a dead process cannot ${doing}`);
    if (world.time.now() < disk.fullUntil) {
      world.count("writes refused by a full disk");
      throw new DiskError(doing, new NoSpace("no space left"));
    }
    if (disk.crashIn === null) return write();
    disk.crashIn -= 1;
    if (disk.crashIn > 0) return write();
    disk.crashIn = null;
    const safe = chance.happens(0.5);
    if (safe) write();
    world.count(safe ? "crashes after a write" : "crashes before a write");
    world.trace("coordinator", `dies as it is about to ${doing}, ${safe ? "after" : "before"} it`);
    this.#options.onDeath();
    throw new ProcessDied(`died: ${doing}`);
  }
}
