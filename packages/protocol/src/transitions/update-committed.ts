// UpdateCommitted: a worker's update counts from here on.
// Not its bytes: the host has checked that the blob is there, fits its root and decodes.
import { defined } from "@manyhands/base/assert";
import { err, ok, type Result } from "@manyhands/base/result";
import { withQuorum } from "../due.ts";
import type { EventOf, Update } from "../events.ts";
import type { Assignment } from "../messages.ts";
import { type Reject, reject } from "../rejects.ts";
import { updateLeaf } from "../roots.ts";
import { tokensPerStep } from "../run-config.ts";
import type { Commitment, RoundRecord, RunState, Transition, WorkerRecord } from "../state.ts";

/**
 * Accepts an update for the open round, or a late one for a round that closed not long ago.
 *
 * **Spec** §3.4, §3.6
 * **Post** the update is credited at the next close, in this round's or the next one's.
 * **Rejects** every `commit/…` code but those about blobs; the first that applies, in the order of
 * the checks below.
 * **Why** whatever a worker claims (base, data, tokens) must be what it was assigned: credit is
 * tokens, so tokens cannot be a worker's own choice.
 */
export function commitUpdate(
  state: RunState,
  event: EventOf<"UpdateCommitted">,
): Result<Transition, Reject> {
  const { update, workerId } = event;
  if (state.phase === "finished") {
    return err(reject("commit/run-finished", `run ${state.runId} is finished`));
  }
  const worker = state.workers.get(workerId);
  if (!worker?.active) {
    return err(reject("commit/not-joined", `worker ${workerId} is not active`));
  }
  const found = roundFor(state, update.round);
  if (!found.ok) return found;
  const refused = claimReject({ state, round: found.value, worker, update });
  if (refused) return err(refused);
  return ok(accepted(state, worker, update));
}

/** The round that a close takes which follows an event in this state. */
function closingRoundNext(state: RunState): number {
  return state.phase === "closing" ? state.roundsClosed + 1 : state.roundsClosed;
}

function roundFor(state: RunState, round: number): Result<RoundRecord, Reject> {
  const { current, recent, run } = state;
  const newest = current ? current.round : state.roundsClosed - 1;
  if (round > newest) {
    return err(reject("commit/round-unknown", `expected a round ≤ ${newest}, found ${round}`));
  }
  const oldest = closingRoundNext(state) - run.rounds.stalenessMax;
  if (round < oldest) {
    return err(reject("commit/too-late", `expected a round ≥ ${oldest}, found ${round}`));
  }
  const known = current?.round === round ? current : recent.find((one) => one.round === round);
  return ok(defined(known, `round ${round}, not too late, is remembered`));
}

type Claim = {
  readonly state: RunState;
  readonly round: RoundRecord;
  readonly worker: WorkerRecord;
  readonly update: Update;
};

function claimReject(claim: Claim): Reject | null {
  const { round, worker, update } = claim;
  const { workerId } = worker;
  const assignment = round.assignments.get(workerId);
  if (!assignment) {
    return reject("commit/not-assigned", `round ${round.round} assigned nothing to ${workerId}`);
  }
  if (round.committed.has(workerId)) {
    return reject("commit/duplicate", `${workerId} has committed for round ${round.round}`);
  }
  if (update.baseRoot !== round.baseRoot) {
    return reject("commit/base-root", `expected ${round.baseRoot}, found ${update.baseRoot}`);
  }
  return workReject(claim, assignment) ?? formReject(claim);
}

/** Is it the work that was assigned? Fewer inner steps are fine, and then fewer samples. */
function workReject({ state, update }: Claim, assignment: Assignment): Reject | null {
  const { recipe } = state.run;
  const { innerSteps, data, tokens, metrics } = update;
  if (innerSteps > assignment.innerSteps) {
    const expected = `at most ${assignment.innerSteps} inner steps`;
    return reject("commit/inner-steps", `expected ${expected}, found ${innerSteps}`);
  }
  const first = assignment.firstSample;
  const count = innerSteps * recipe.batchSequences;
  if (data.kind !== "range" || data.firstSample !== first || data.sampleCount !== count) {
    const found =
      data.kind === "range" ? `${data.sampleCount} from ${data.firstSample}` : data.kind;
    return reject("commit/data-range", `expected ${count} samples from ${first}, found ${found}`);
  }
  const tokensDue = innerSteps * tokensPerStep(recipe);
  if (tokens !== tokensDue) {
    return reject("commit/tokens", `expected ${tokensDue} tokens, found ${tokens}`);
  }
  const windows = assignment.evaluate?.windows.length ?? 0;
  const evaluatedMax = windows * recipe.contextLength;
  const evaluated = metrics.evaluation?.tokens ?? 0;
  if (evaluated > evaluatedMax) {
    const expected = `at most ${evaluatedMax} evaluated tokens`;
    return reject("commit/evaluation", `expected ${expected}, found ${evaluated}`);
  }
  return null;
}

/** Is it encoded and computed as the run and the worker's join say? */
function formReject({ state, worker, update }: Claim): Reject | null {
  const { codec } = state.run.recipe;
  const { numerics } = worker.join;
  if (update.codec !== codec) {
    return reject("commit/codec", `expected ${codec}, found ${update.codec}`);
  }
  if (update.numerics !== numerics) {
    return reject("commit/numerics", `expected ${numerics}, found ${update.numerics}`);
  }
  if (update.fragments !== null) {
    const found = `${update.fragments.length} of them`;
    return reject("commit/fragments", `expected null for all fragments, found ${found}`);
  }
  if (update.groupCount !== 1) {
    return reject("commit/group", `expected a single device, found ${update.groupCount}`);
  }
  return null;
}

function accepted(state: RunState, worker: WorkerRecord, update: Update): Transition {
  const { workerId } = worker;
  const leaf = updateLeaf(state.runId, workerId, update);
  const commitment: Commitment = { workerId, update, leaf };
  const { innerStepMicros } = update.metrics;
  const mark = (round: RoundRecord): RoundRecord =>
    round.round === update.round
      ? { ...round, committed: new Set(round.committed).add(workerId) }
      : round;
  const next: RunState = {
    ...state,
    workers: new Map(state.workers).set(workerId, { ...worker, innerStepMicros }),
    current: state.current && mark(state.current),
    recent: state.recent.map(mark),
    pending: [...state.pending, commitment],
  };
  const receipt = { kind: "receipt", to: workerId, commitment } as const;
  return { state: withQuorum(next), effects: [receipt] };
}
