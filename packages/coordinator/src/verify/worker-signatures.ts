// What workers signed, checked along a log: joins by the key that joins, updates by its worker's.
// Not the coordinator's signatures: those are of the rows (log/log.ts).
import type { Join, RunEvent } from "@manyhands/protocol/events";
import { type WorkerId, workerIdOf } from "@manyhands/protocol/keys";
import type { RunId } from "@manyhands/protocol/run-config";
import { commitSigningBytes, joinSigningBytes } from "@manyhands/protocol/signing";
import { verifySignature } from "../keys.ts";

export class WorkerSignatures {
  readonly #joins = new Map<WorkerId, Join>();

  /** What is wrong with the next event's signature; null if it has none, or a good one. */
  problem(runId: RunId, event: RunEvent): string | null {
    if (event.type === "WorkerJoined") {
      const { join, challenge, signature } = event;
      this.#joins.set(workerIdOf(join.signingKey), join);
      const bytes = joinSigningBytes(runId, challenge, join);
      if (verifySignature(join.signingKey, bytes, signature)) return null;
      return "the join is not signed by the key that joins";
    }
    if (event.type !== "UpdateCommitted") return null;
    const { workerId, update, signature } = event;
    const join = this.#joins.get(workerId);
    const bytes = commitSigningBytes(runId, update);
    if (join && verifySignature(join.signingKey, bytes, signature)) return null;
    return `the update is not signed by worker ${workerId}`;
  }
}
