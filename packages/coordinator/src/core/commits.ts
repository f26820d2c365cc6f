// Is a commitment what it says? Cheap checks first: signature, a receipt given before, the
// protocol's rules, the blob. Nothing changes here: the caller appends the event.
import type { Bytes } from "@manyhands/base/bytes";
import { err, ok, type Result } from "@manyhands/base/result";
import type { EventOf } from "@manyhands/protocol/events";
import type { WorkerId } from "@manyhands/protocol/keys";
import type { ClientMessage } from "@manyhands/protocol/messages";
import { type Reject, reject } from "@manyhands/protocol/rejects";
import { commitSigningBytes } from "@manyhands/protocol/signing";
import { DamagedBlobError } from "../errors.ts";
import type { CorePorts } from "./ports.ts";
import type { Receipt } from "./receipts.ts";
import type { RunDriver } from "./run-driver.ts";

export type Commit = Extract<ClientMessage, { type: "commit" }>;

/** Either an event to append, or the receipt of a commitment that is in the log already. */
export type CheckedCommit =
  | { readonly kind: "new"; readonly event: EventOf<"UpdateCommitted"> }
  | { readonly kind: "again"; readonly receipt: Receipt };

export function checkCommit(
  workerId: WorkerId,
  message: Commit,
  host: { readonly driver: RunDriver; readonly ports: CorePorts },
): Result<CheckedCommit, Reject> {
  const { driver, ports } = host;
  const { update, signature } = message;
  const worker = driver.state.workers.get(workerId);
  if (!worker) return err(reject("commit/not-joined", `worker ${workerId} is not on record`));
  const bytes = commitSigningBytes(driver.state.runId, update);
  if (!ports.verify(worker.join.signingKey, bytes, signature)) {
    return err(reject("auth/signature", "expected the joined key's signature of this update"));
  }
  const receipt = driver.ledger.receipts.of(workerId, update.round);
  if (receipt?.updateRoot === update.updateRoot) return ok({ kind: "again", receipt });
  const tick = driver.now();
  const event: EventOf<"UpdateCommitted"> = {
    type: "UpdateCommitted",
    tick,
    workerId,
    update,
    signature,
  };
  const possible = driver.tryOut(event);
  if (!possible.ok) return possible;
  const problem = blobReject(update.updateRoot, update.updateBytes, host);
  return problem ? err(problem) : ok({ kind: "new", event });
}

function blobReject(
  root: string,
  claimed: number,
  { driver, ports }: { readonly driver: RunDriver; readonly ports: CorePorts },
): Reject | null {
  const size = ports.blobs.size(root);
  if (size === null) {
    return reject("commit/blob-missing", `expected blob ${root} to be uploaded before`);
  }
  const expected = driver.ledger.uploads.byteLengthMax;
  if (size !== claimed || size !== expected) {
    const found = `blob ${root} has ${size} B, claimed are ${claimed} B`;
    return reject("commit/blob-size", `expected ${expected} B for every update: ${found}`);
  }
  const bytes = wholeBlob(root, ports);
  if (!bytes) return reject("commit/blob-missing", `blob ${root} was damaged: upload it again`);
  const problem = driver.screen(bytes);
  return problem === null
    ? null
    : reject("commit/blob-content", `blob ${root} is no update of this run: ${problem}`);
}

/**
 * Nobody counts on an uncommitted blob yet: a damaged one goes, and its worker uploads it again.
 */
function wholeBlob(root: string, { blobs }: CorePorts): Bytes | null {
  try {
    return blobs.read(root);
  } catch (error) {
    if (!(error instanceof DamagedBlobError)) throw error;
    blobs.remove(root);
    return null;
  }
}
