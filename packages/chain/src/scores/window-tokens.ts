// How a window's accepted tokens are dealt out by what its validators said: the seam between scores
// and money. Not what was said, and not what a token is worth.
import { compareText } from "@manyhands/base/bytes";
import type { WorkerId } from "@manyhands/protocol/keys";
import type { Pay } from "@manyhands/protocol/pay";
import type { Scores, Transcript } from "./messages.ts";
import { dealtOut, WEIGHT_ONE, yuma } from "./yuma.ts";

export type WindowTokens = {
  /** What each worker is paid for; the sum is at most that of the accepted tokens. */
  readonly tokens: ReadonlyMap<WorkerId, number>;
  /** By validator of the run: how much of what it said others agreed with, in basis points. */
  readonly trustBps: ReadonlyMap<string, number>;
  /** How much of the window was agreed on; the rest goes by accepted tokens. */
  readonly agreedBps: number;
};

const BPS = 10_000n;

/**
 * A window's tokens, dealt out: of T in all, worker j with a_j accepted gets ⌊T · C_j / D⌋ by
 * consensus, D = max(1, ΣC), and of the rest r, which nobody agreed on, ⌊r · a_j / T⌋. (Medians of
 * opinions that each sum to 1 may sum to more.)
 *
 * Why not Yuma's incentive R, normalised: R_j also falls with the stake of one who denies j, so a
 * liar would raise its favourite by lowering all others. C is the same for any minority where the
 * others agree. Why C is not normalised upwards: where some stay away, a liar could keep each C but
 * its favourite's at 0, who would then get the whole window.
 *
 * @param accepted tokens by worker; scores of others count nowhere
 * @source docs/spec §9.6
 */
export function windowTokens(
  { validators }: NonNullable<Pay["scores"]>,
  accepted: ReadonlyMap<WorkerId, number>,
  reveals: Transcript["reveals"],
): WindowTokens {
  const workers = [...accepted.keys()].sort(compareText);
  const said = new Map(reveals.map(({ validator, scores }) => [validator, scoreMap(scores)]));
  const opinions = validators.map(({ account, stake }) => ({
    stake: BigInt(stake),
    scores: workers.map((worker) => BigInt(said.get(account)?.get(worker) ?? 0)),
  }));
  const { consensus, trust } = yuma(opinions, workers.length);
  const own = workers.map((worker) => BigInt(accepted.get(worker) ?? 0));
  const all = total(own);
  const granted = total(consensus);
  const isMore = granted > WEIGHT_ONE;
  const whole = isMore ? granted : WEIGHT_ONE;
  const agreed = consensus.map((weight) => (all * weight) / whole);
  const rest = dealtOut(all - total(agreed), own) ?? [];
  const tokens = workers.map((worker, j): readonly [WorkerId, number] => {
    return [worker, Number((agreed[j] ?? 0n) + (rest[j] ?? 0n))];
  });
  const trusted = validators.map(({ account }, i) => [account, bpsOf(trust[i] ?? 0n)] as const);
  return {
    tokens: new Map(tokens),
    trustBps: new Map(trusted),
    agreedBps: isMore ? Number(BPS) : bpsOf(granted),
  };
}

/** To the nearest: weights are rounded down, so their sum is a little less than the whole. */
function bpsOf(weight: bigint): number {
  return Number((weight * BPS + WEIGHT_ONE / 2n) / WEIGHT_ONE);
}

function total(numbers: readonly bigint[]): bigint {
  return numbers.reduce((sum, one) => sum + one, 0n);
}

function scoreMap(scores: Scores): ReadonlyMap<WorkerId, number> {
  return new Map(scores.map(({ worker, score }) => [worker, score]));
}
