// What can go wrong between a run and its chain: sentences with what to do. Not the local chain's
// own refusals (local/errors.ts).
import { ManyhandsError } from "@manyhands/base/errors";

/** The chain does not answer, or is another one than the run names. */
export class ChainError extends ManyhandsError {
  override readonly name = "ChainError";
}

/** A transaction that the contracts refuse, or would. */
export class RefusedError extends ManyhandsError {
  override readonly name = "RefusedError";
}

/** The settlements' journal cannot be used. */
export class JournalError extends ManyhandsError {
  override readonly name = "JournalError";
}
