// WorkerJoined: a device takes part, for the first time or again.
// Not its admission: token, challenge and signature were checked by the host.
import { err, ok, type Result } from "@manyhands/base/result";
import { delegationProblem } from "../delegation-check.ts";
import { activeCount } from "../due.ts";
import type { EventOf, Join } from "../events.ts";
import { workerIdOf } from "../keys.ts";
import { WORKERS_MAX } from "../limits.ts";
import { type Reject, reject } from "../rejects.ts";
import type { RunState, Transition, WorkerRecord } from "../state.ts";

/**
 * Puts a worker on record, or makes a known one active again with its credit and its speed.
 *
 * **Spec** §3.3
 * **Rejects** `join/run-finished`, `join/active`, `join/workers-full`, `join/delegation`.
 * **Bound** one ECDSA recovery, where there is a delegation.
 * **Why** a worker that comes back keeps its place in the open round: its training is not lost.
 */
export function joinWorker(
  state: RunState,
  event: EventOf<"WorkerJoined">,
): Result<Transition, Reject> {
  if (state.phase === "finished") {
    return err(reject("join/run-finished", `run ${state.runId} is finished`));
  }
  const { join, tick } = event;
  const workerId = workerIdOf(join.signingKey);
  const known = state.workers.get(workerId);
  if (known?.active) return err(reject("join/active", `worker ${workerId} is active already`));
  if (!known && state.workers.size >= WORKERS_MAX) {
    const message = `expected fewer than ${WORKERS_MAX} workers on record, found ${WORKERS_MAX}`;
    return err(reject("join/workers-full", message));
  }
  const undelegated = delegationReject(state, join);
  if (undelegated) return err(undelegated);
  const worker: WorkerRecord = known
    ? { ...known, join, active: true }
    : {
        workerId,
        join,
        active: true,
        joinedAt: tick,
        credit: 0,
        updateCount: 0,
        innerStepMicros: null,
      };
  const workers = new Map(state.workers).set(workerId, worker);
  const firstHere = state.phase === "waiting" && activeCount(state) === 0;
  const waitingSince = firstHere ? tick : state.waitingSince;
  return ok({ state: { ...state, workers, waitingSince }, effects: [] });
}

/** An account that a person pasted needs no delegation: the device's signature names it. */
function delegationReject({ run, runId }: RunState, { payout, signingKey }: Join): Reject | null {
  if (!payout || payout.delegation === null) return null;
  const { account, delegation } = payout;
  if (!run.pay) {
    return reject("join/delegation", "expected no delegation: this run pays nothing");
  }
  const { chain } = run.pay;
  const device = workerIdOf(signingKey);
  const problem = delegationProblem({ chain, account, device, run: runId }, delegation);
  return problem === null ? null : reject("join/delegation", problem);
}
