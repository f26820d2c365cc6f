// What can be wrong with a worker's folder or address on this machine.
// Not for what happens in a run: that is a WorkerEnd.
import { ManyhandsError } from "@manyhands/base/errors";

/** Another process works in this folder. */
export class FolderInUseError extends ManyhandsError {
  override readonly name = "FolderInUseError";

  constructor(folder: string, pid: number) {
    super(`another worker (process ${pid}) is using ${folder}`, {
      hint: "give each worker a folder of its own, or stop the other one first",
    });
  }
}
