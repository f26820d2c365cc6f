// What can be wrong with what a worker keeps, wherever it keeps it.
// Not for what happens in a run: that is a WorkerEnd.
import { ManyhandsError } from "@manyhands/base/errors";

/** A file or record of the worker could not be read or written. */
export class StorageError extends ManyhandsError {
  override readonly name = "StorageError";
}
