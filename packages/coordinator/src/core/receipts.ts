// Receipts given, so that a commitment that is sent again gets the same answer. Rebuilt from the
// log at a start.
import type { WorkerId } from "@manyhands/protocol/keys";
import { STALENESS_MAX } from "@manyhands/protocol/limits";
import type { ServerMessageOf } from "@manyhands/protocol/messages";
import type { LogRow } from "../log/log.ts";

export type Receipt = ServerMessageOf<"receipt">;

/** Newest rounds per worker: as many as a late update may still belong to, and the open one. */
const RECEIPTS_PER_WORKER = STALENESS_MAX + 2;

/** What an accepted commitment is called, and its leaf. */
export type Accepted = {
  readonly round: number;
  readonly updateRoot: string;
  readonly leaf: string;
};

export function receiptOf(accepted: Accepted, row: LogRow): Receipt {
  return {
    type: "receipt",
    round: accepted.round,
    updateRoot: accepted.updateRoot,
    leaf: accepted.leaf,
    sequence: row.sequence,
    previousHead: row.previousHead,
    entry: row.entry,
    head: row.head,
    signature: row.signature,
  };
}

export class Receipts {
  readonly #byWorker = new Map<WorkerId, Receipt[]>();

  add(workerId: WorkerId, receipt: Receipt): void {
    const kept = this.#byWorker.get(workerId) ?? [];
    kept.push(receipt);
    if (kept.length > RECEIPTS_PER_WORKER) kept.shift();
    this.#byWorker.set(workerId, kept);
  }

  of(workerId: WorkerId, round: number): Receipt | undefined {
    return this.#byWorker.get(workerId)?.find((receipt) => receipt.round === round);
  }
}
