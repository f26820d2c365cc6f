// WorkerLeft: a device is no longer here, because it said so, was not heard of, or was evicted.
// Not the lease: heartbeats are the host's, only their expiry is logged.
import { err, ok, type Result } from "@manyhands/base/result";
import { withQuorum } from "../due.ts";
import type { EventOf } from "../events.ts";
import { type Reject, reject } from "../rejects.ts";
import type { RunState, Transition } from "../state.ts";

/**
 * Makes a worker inactive. Its credit and its commitments stay.
 *
 * **Spec** §3.3
 * **Post** the quorum is counted anew: nobody waits for one who left.
 * **Rejects** `leave/run-finished`, `leave/not-joined`.
 */
export function leaveWorker(
  state: RunState,
  event: EventOf<"WorkerLeft">,
): Result<Transition, Reject> {
  if (state.phase === "finished") {
    return err(reject("leave/run-finished", `run ${state.runId} is finished`));
  }
  const worker = state.workers.get(event.workerId);
  if (!worker?.active) {
    return err(reject("leave/not-joined", `worker ${event.workerId} is not active`));
  }
  const workers = new Map(state.workers).set(event.workerId, { ...worker, active: false });
  return ok({ state: withQuorum({ ...state, workers }), effects: [] });
}
