// What can go wrong between two peers, as classes: whoever catches one can tell whether to try
// again. Not for refused control messages: those are data of the protocol.
import { ManyhandsError } from "@manyhands/base/errors";

/** No answer, a cut connection, or a server that is briefly unable. Trying again is sensible. */
export class NetworkError extends ManyhandsError {
  override readonly name = "NetworkError";
}

/** A server said no, with its reason. Trying the same again gives the same answer. */
export class RefusedError extends ManyhandsError {
  override readonly name = "RefusedError";
  readonly status: number;
  /** The protocol's code, when the answer had one. */
  readonly code: string | null;

  constructor(what: string, answer: { status: number; code: string | null; message: string }) {
    super(`${what} was refused (${answer.code ?? `HTTP ${answer.status}`}): ${answer.message}`);
    this.status = answer.status;
    this.code = answer.code;
  }
}

/** The bytes that came are not the bytes that the name promises. */
export class CorruptBlobError extends ManyhandsError {
  override readonly name = "CorruptBlobError";

  constructor(root: string, found: string) {
    super(`blob ${root.slice(0, 12)}…: the bytes received are those of ${found.slice(0, 12)}…`, {
      hint: "a faulty disk or a proxy that changes bytes; the blob was asked for again, in vain",
    });
  }
}
