// What validators say of a window: first a commitment to their scores, then the scores. Forms,
// hashes, and what is signed. Not when it may be said: that is score-window.ts's.
import { canonicalHash } from "@manyhands/base/canonical";
import { type Decoded, hex, integer, list, object } from "@manyhands/base/decode";
import { SCORE_MAX, VALIDATORS_MAX, WORKERS_MAX } from "@manyhands/protocol/limits";
import type { Pay } from "@manyhands/protocol/pay";
import type { RunId } from "@manyhands/protocol/run-config";

/** Ascending by worker, none of 0: one opinion has one text. */
export const scoresDecoder = list(object({ worker: hex(32), score: integer(1, SCORE_MAX) }), {
  max: WORKERS_MAX,
});
export type Scores = Decoded<typeof scoresDecoder>;

export const commitDecoder = object({
  validator: hex(20),
  commitment: hex(32),
  /** EIP-712, r ‖ s ‖ v in hex. */
  signature: hex(65),
});
export type ScoreCommit = Decoded<typeof commitDecoder>;

export const revealDecoder = object({
  validator: hex(20),
  scores: scoresDecoder,
  salt: hex(32),
  signature: hex(65),
});
export type ScoreReveal = Decoded<typeof revealDecoder>;

/** All that was said of one window, ascending by validator: public evidence. */
export const transcriptDecoder = object({
  window: integer(0),
  /** It ends with the close of this round. */
  lastRound: integer(0),
  commits: list(commitDecoder, { max: VALIDATORS_MAX }),
  reveals: list(revealDecoder, { max: VALIDATORS_MAX }),
});
export type Transcript = Decoded<typeof transcriptDecoder>;

/** Which window of which run, and where signatures about it count. */
export type ScorePlace = {
  readonly chain: Pick<Pay["chain"], "chainId" | "registry">;
  readonly run: RunId;
  readonly window: number;
  readonly lastRound: number;
};

/**
 * What a validator is bound to before it has seen what others say. Its account is inside: a copy of
 * somebody's commitment cannot be opened by anybody else.
 *
 * @source docs/spec §9.6
 */
export function commitmentOf(
  { run, window, lastRound }: ScorePlace,
  { validator, scores, salt }: Omit<ScoreReveal, "signature">,
): string {
  const form = "manyhands scores 1";
  return canonicalHash({ form, run, window, lastRound, validator, scores, salt });
}

/**
 * The commitments of a window, once no more are taken. Every reveal signs it: a commitment that is
 * slipped in or left out later does not fit to what was signed.
 *
 * @param commits ascending by validator
 * @source docs/spec §9.6
 */
export function sealOf(
  { run, window, lastRound }: ScorePlace,
  commits: readonly Pick<ScoreCommit, "validator" | "commitment">[],
): string {
  const form = "manyhands score seal 1";
  const sealed = commits.map(({ validator, commitment }) => ({ validator, commitment }));
  return canonicalHash({ form, run, window, lastRound, commits: sealed });
}

function domainOf({ chain }: ScorePlace) {
  const { chainId, registry } = chain;
  return {
    name: "Manyhands",
    version: "1",
    chainId,
    verifyingContract: `0x${registry}`,
  } as const;
}

const COMMIT_TYPES = {
  ScoreCommit: [
    { name: "run", type: "bytes32" },
    { name: "window", type: "uint64" },
    { name: "lastRound", type: "uint64" },
    { name: "validator", type: "address" },
    { name: "commitment", type: "bytes32" },
  ],
} as const;

const REVEAL_TYPES = {
  ScoreReveal: [
    { name: "run", type: "bytes32" },
    { name: "window", type: "uint64" },
    { name: "validator", type: "address" },
    { name: "commitment", type: "bytes32" },
    { name: "seal", type: "bytes32" },
  ],
} as const;

/** EIP-712 of a commitment. */
export function commitTypedData(
  place: ScorePlace,
  { validator, commitment }: Omit<ScoreCommit, "signature">,
) {
  const message = {
    run: `0x${place.run}`,
    window: BigInt(place.window),
    lastRound: BigInt(place.lastRound),
    validator: `0x${validator}`,
    commitment: `0x${commitment}`,
  } as const;
  const domain = domainOf(place);
  return { domain, types: COMMIT_TYPES, primaryType: "ScoreCommit", message } as const;
}

/** EIP-712 of a reveal: the scores are in the commitment, the other validators in the seal. */
export function revealTypedData(
  place: ScorePlace,
  { validator, commitment }: Omit<ScoreCommit, "signature">,
  seal: string,
) {
  const message = {
    run: `0x${place.run}`,
    window: BigInt(place.window),
    validator: `0x${validator}`,
    commitment: `0x${commitment}`,
    seal: `0x${seal}`,
  } as const;
  const domain = domainOf(place);
  return { domain, types: REVEAL_TYPES, primaryType: "ScoreReveal", message } as const;
}
