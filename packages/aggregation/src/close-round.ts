// One round's end as one function: contributions in, aggregate and next state out (spec §2.13).
// Not the protocol: which contributions count, and with which weight, is in the log already.
import { assert } from "@manyhands/base/assert";
import type { Bytes } from "@manyhands/base/bytes";
import type { Sha256 } from "@manyhands/base/hash";
import { err, ok, type Result } from "@manyhands/base/result";
import type { CodecName } from "./codec/codecs.ts";
import type { CodecReject } from "./codec/reject.ts";
import { decodeUpdateInto } from "./codec/update.ts";
import { compressInto } from "./error-feedback.ts";
import { assertFits, elementCount, type Fragment } from "./fragments.ts";
import { inOrderOfId, WeightedMean } from "./mean.ts";
import { assertOuterRule, type OuterRule, outerStepInto } from "./outer-step.ts";
import { feedbackRoot, momentumRoot, stateRoot, weightsRoot } from "./roots.ts";
import { type ScreenLimits, screenUpdate, type UpdateReject } from "./screen.ts";

/** What all peers agree on between rounds. The arrays have the fragments' elements. */
export type SharedState = {
  readonly fragments: readonly Fragment[];
  readonly weights: Float32Array;
  /** Error feedback of the way down. */
  readonly feedback: Float32Array;
  /** There exactly if the outer rule has momentum. */
  readonly momentum?: Float32Array | undefined;
};

/** The run's rules for a round's end: part of the frozen config. */
export type RoundRules = {
  readonly codec: CodecName;
  readonly outer: OuterRule;
  readonly limits: ScreenLimits;
};

/** A commitment that the round counts: its revealed bytes and its weight. */
export type EncodedContribution = {
  readonly id: string;
  readonly weight: number;
  readonly bytes: Bytes;
};

export type ContributionReject = CodecReject | UpdateReject;

export type RefusedContribution = { readonly id: string; readonly reject: ContributionReject };

export type CloseRoundOptions = SharedState &
  RoundRules & {
    readonly contributions: readonly EncodedContribution[];
    /** Rounds closed once this one is: 1 for the first. */
    readonly round: number;
    readonly hash: Sha256;
  };

/** The roots of the state after a round. */
export type RoundRoots = {
  readonly weightsRoot: Bytes;
  readonly feedbackRoot: Bytes;
  readonly momentumRoot: Bytes;
  readonly stateRoot: Bytes;
};

export type RoundOutcome = RoundRoots & {
  /** What workers fetch and apply; undefined if no contribution was accepted. */
  readonly aggregate: Bytes | undefined;
  /** Ids that are in the mean, ascending. */
  readonly accepted: readonly string[];
  /** Contributions that every replay refuses too, in ascending order of id. */
  readonly refused: readonly RefusedContribution[];
  /** Σ weights of the accepted ones. */
  readonly weightTotal: number;
};

export type ClosedRound = RoundOutcome & SharedState;

/** As closeRoundInto, on copies: nothing that was passed in changes. */
export function closeRound(options: CloseRoundOptions): ClosedRound {
  const { fragments } = options;
  const weights = options.weights.slice();
  const feedback = options.feedback.slice();
  const momentum = options.momentum?.slice();
  const outcome = closeRoundInto({ ...options, weights, feedback, momentum });
  return { ...outcome, fragments, weights, feedback, momentum };
}

/**
 * mean → + public feedback → encode with the run's codec → the decoded aggregate drives the outer
 * step. Coordinator and auditor call this; workers repeat its last part with applyAggregate.
 *
 * **Pre** weights, feedback and momentum are the state after round − 1; they are overwritten.
 * **Post** the same arguments give the same bits on every device. A contribution that does not
 * decode or is out of bounds is refused with its code, and the round closes without it. With none
 * left the state stays as it is, and only the round in the state root moves on.
 * **Bound** two arrays of f32 and one of f64 beside the state, for any number of contributions.
 */
export function closeRoundInto(options: CloseRoundOptions): RoundOutcome {
  const { fragments, weights, feedback, momentum, codec, outer } = options;
  assertFits(fragments, weights, "weights");
  assertFits(fragments, feedback, "feedback");
  assertOuterRule(outer, momentum);
  const mean = new WeightedMean(fragments);
  const scratch = new Float32Array(elementCount(fragments));
  const { accepted, refused } = addAccepted(options, mean, scratch);
  let aggregate: Bytes | undefined;
  if (accepted.length > 0) {
    const covered = mean.covered();
    mean.meanInto(scratch);
    const decoded = new Float32Array(scratch.length);
    aggregate = compressInto({
      codec,
      fragments,
      covered,
      pseudoGradient: scratch,
      residual: feedback,
      decoded,
    });
    outerStepInto({ fragments, covered, weights, momentum, aggregate: decoded, rule: outer });
  }
  const roots = sharedStateRoots(options, options.round, options.hash);
  return { aggregate, accepted, refused, weightTotal: mean.weightTotal, ...roots };
}

function addAccepted(
  options: CloseRoundOptions,
  mean: WeightedMean,
  scratch: Float32Array,
): Pick<RoundOutcome, "accepted" | "refused"> {
  const accepted: string[] = [];
  const refused: RefusedContribution[] = [];
  for (const { id, weight, bytes } of inOrderOfId(options.contributions)) {
    const screened = decodeScreenedInto(scratch, bytes, options);
    if (screened.ok) {
      mean.add({ id, weight, covered: screened.value.covered, values: scratch });
      accepted.push(id);
    } else {
      refused.push({ id, reject: screened.error });
    }
  }
  return { accepted, refused };
}

/** What the coordinator asks of an upload before it counts it, and every replay asks again. */
export function decodeScreenedInto(
  out: Float32Array,
  bytes: Bytes,
  rules: Pick<CloseRoundOptions, "fragments" | "codec" | "limits">,
): Result<{ readonly covered: readonly number[]; readonly rms: number }, ContributionReject> {
  const { fragments, codec, limits } = rules;
  const header = decodeUpdateInto(out, bytes, fragments, { codec });
  if (!header.ok) return header;
  const { covered } = header.value;
  const screened = screenUpdate({ fragments, covered, values: out, limits });
  return screened.ok ? ok({ covered, rms: screened.value.rms }) : err(screened.error);
}

/** The roots of a state after so many closed rounds; round 0 is the start of the run. */
export function sharedStateRoots(state: SharedState, round: number, hash: Sha256): RoundRoots {
  const { fragments } = state;
  const roots = {
    weightsRoot: weightsRoot(fragments, state.weights, hash),
    feedbackRoot: feedbackRoot(fragments, state.feedback, hash),
    momentumRoot: momentumRoot(fragments, state.momentum, hash),
  };
  return { ...roots, stateRoot: stateRoot({ ...roots, round }) };
}

/** The state at the start of a run: feedback and momentum are zero. */
export function initialState(
  fragments: readonly Fragment[],
  weights: Float32Array,
  outer: OuterRule,
): SharedState {
  assertFits(fragments, weights, "weights");
  assert(outer.momentum >= 0, "momentum is not negative");
  const feedback = new Float32Array(weights.length);
  const momentum = outer.momentum > 0 ? new Float32Array(weights.length) : undefined;
  return { fragments, weights, feedback, momentum };
}

export type ApplyAggregateOptions = Omit<SharedState, "feedback"> & {
  readonly codec: CodecName;
  readonly outer: OuterRule;
  readonly aggregate: Bytes;
};

/** As applyAggregateInto, on copies. */
export function applyAggregate(
  options: ApplyAggregateOptions,
): Result<Pick<SharedState, "weights" | "momentum">, CodecReject> {
  const weights = options.weights.slice();
  const momentum = options.momentum?.slice();
  const applied = applyAggregateInto({ ...options, weights, momentum });
  return applied.ok ? ok({ weights, momentum }) : applied;
}

/**
 * What a worker does with a round's aggregate: decode, outer step. It then compares weightsRoot
 * with the round's; a worker that disagrees stops and says so.
 *
 * @returns the covered fragments; on a rejection nothing has changed
 */
export function applyAggregateInto(
  options: ApplyAggregateOptions,
): Result<readonly number[], CodecReject> {
  const { fragments, weights, momentum, codec, outer } = options;
  const aggregate = new Float32Array(elementCount(fragments));
  const header = decodeUpdateInto(aggregate, options.aggregate, fragments, { codec });
  if (!header.ok) return header;
  const { covered } = header.value;
  outerStepInto({ fragments, covered, weights, momentum, aggregate, rule: outer });
  return ok(covered);
}
