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
  /** No consensus: accepted tokens are what counts. */
  readonly isByTokens: boolean;
};

const BPS = 10_000n;

/**
 * A window's tokens T, dealt out by consensus: worker j gets ⌊T · C_j / ΣC⌋. Where there is no
 * consensus, because less than half of the stake said anything or nobody agreed, everybody gets its
 * own tokens.
 *
 * Why C and not Yuma's incentive R: R_j also falls with the stake of one who denies j, so a liar
 * could lower all but its favourite, and raise that one by it. C is the same for any minority.
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
  const all = [...accepted.values()].reduce((sum, one) => sum + one, 0);
  const shares = dealtOut(BigInt(all), consensus);
  const tokens = workers.map((worker, j): readonly [WorkerId, number] => {
    return [worker, shares ? Number(shares[j] ?? 0n) : (accepted.get(worker) ?? 0)];
  });
  const trusted = validators.map(({ account }, i): readonly [string, number] => {
    return [account, Number(((trust[i] ?? 0n) * BPS) / WEIGHT_ONE)];
  });
  return { tokens: new Map(tokens), trustBps: new Map(trusted), isByTokens: shares === null };
}

function scoreMap(scores: Scores): ReadonlyMap<WorkerId, number> {
  return new Map(scores.map(({ worker, score }) => [worker, score]));
}
