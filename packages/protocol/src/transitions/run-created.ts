// RunCreated: the run's first event.
// Not the making of a run file into a frozen run: that is the command line's.
import { problemText } from "@manyhands/base/decode";
import { err, ok, type Result } from "@manyhands/base/result";
import type { EventOf } from "../events.ts";
import { type Reject, reject } from "../rejects.ts";
import { checkRunRules, runIdOf } from "../run-config.ts";
import type { RunState, Transition } from "../state.ts";
import { KERNEL_SET, PROTOCOL_VERSION } from "../version.ts";

/**
 * Begins a run: nobody is here, no round has closed, the weights are the initial ones.
 *
 * **Spec** §3.3
 * **Rejects** `event/run`: another protocol version or kernel set, or a rule between fields broken.
 * **Bound** one hash of the frozen run.
 */
export function createRun(event: EventOf<"RunCreated">): Result<Transition, Reject> {
  const { run, tick, authority, feedbackRoot, stateRoot } = event;
  if (run.protocolVersion !== PROTOCOL_VERSION || run.kernelSet !== KERNEL_SET) {
    const expected = `protocol ${PROTOCOL_VERSION} with kernels ${KERNEL_SET}`;
    const found = `${run.protocolVersion} with ${run.kernelSet}`;
    return err(reject("event/run", `expected ${expected}, found ${found}`));
  }
  const rules = checkRunRules(run);
  if (!rules.ok) return err(reject("event/run", problemText(rules.error)));
  const state: RunState = {
    runId: runIdOf(run),
    run,
    authority,
    phase: "waiting",
    tick,
    waitingSince: tick,
    workers: new Map(),
    roundsClosed: 0,
    weightsRoot: run.initialWeightsRoot,
    feedbackRoot,
    stateRoot,
    current: null,
    recent: [],
    pending: [],
    closing: [],
    tokensCommitted: 0,
    sampleCursor: 0,
    trainingMs: 0,
    finishReason: null,
  };
  return ok({ state, effects: [] });
}
