// What a settlement says of a run, computed from its log alone: the public bundle, and the posting
// that attestors sign. Not its signatures, and not the chain.
import { type Bytes, fromHex, toHex, uint64, utf8 } from "@manyhands/base/bytes";
import { canonicalJson } from "@manyhands/base/canonical";
import {
  type Decoded,
  type Decoder,
  fallback,
  hex,
  integer,
  list,
  object,
  oneOf,
  text,
} from "@manyhands/base/decode";
import { hashLeaf, merkleRoot, sha256 } from "@manyhands/base/hash";
import type { EventOf, RunEvent } from "@manyhands/protocol/events";
import type { Pay } from "@manyhands/protocol/pay";
import type { RunState } from "@manyhands/protocol/state";
import {
  type BundleScores,
  bundleScoresDecoder,
  NO_EVIDENCE,
  type ScoreEvidence,
} from "../scores/evidence.ts";
import { CreditTree } from "./credit-tree.ts";
import { type Earned, PayBook } from "./pay-book.ts";
import type { Posting } from "./posting.ts";

const UNITS_CHARS_MAX = 39; // 2¹²⁸ in decimals
/** More than workers: a device may name another account at each of its joins. */
const ACCOUNTS_MAX = 2 ** 20;

const bundleFields = object({
  form: oneOf("manyhands settlement 1"),
  runId: hex(32),
  /** The run's number in the registry. */
  onChainRunId: integer(1),
  sequence: integer(1),
  /** The last closed round that it covers, the log's rows up to its close, and their head. */
  round: integer(0),
  rows: integer(1),
  head: hex(32),
  roundsRoot: hex(32),
  weightsRoot: hex(32),
  /** Ascending; units in decimals. */
  accounts: list(object({ account: hex(20), cumulative: text(UNITS_CHARS_MAX) }), {
    min: 1,
    max: ACCOUNTS_MAX,
  }),
  total: text(UNITS_CHARS_MAX),
  /** Absent where no validators score. */
  scores: fallback<BundleScores | undefined>(bundleScoresDecoder, undefined),
});
export type Bundle = Omit<Decoded<typeof bundleFields>, "scores"> & {
  readonly scores?: BundleScores | undefined;
};
export const bundleDecoder: Decoder<Bundle> = bundleFields;

/** Its place on the chain. */
export type BundlePlace = Pick<Bundle, "onChainRunId" | "sequence">;

type Closed = { readonly round: number; readonly rows: number; readonly head: string };

/** A row of the log, as far as it matters here. */
export type LedgerRow = { readonly sequence: number; readonly head: string };

/** The run's accounts, row by row. */
export class PayLedger {
  readonly book: PayBook;
  readonly #pay: Pay;
  readonly #evidence: ScoreEvidence;
  readonly #leaves: Bytes[] = [];
  #closed: (Closed & { readonly weightsRoot: string }) | null = null;

  /** @param evidence of the windows' scores, where validators score */
  constructor(pay: Pay, evidence: ScoreEvidence = NO_EVIDENCE) {
    this.#pay = pay;
    this.#evidence = evidence;
    this.book = new PayBook(pay, evidence);
  }

  /** @param state after the event */
  advance({ sequence, head }: LedgerRow, event: RunEvent, state: RunState): void {
    this.book.advance(event, state);
    if (event.type !== "RoundClosed") return;
    const { round, weightsRoot } = event;
    this.#leaves.push(roundLeaf(event));
    this.#closed = { round, rows: sequence + 1, head, weightsRoot };
  }

  /** Whether a settlement may end here: anywhere, or where scores are known, with a window. */
  get canSettle(): boolean {
    if (!this.#pay.scores) return true;
    const scored = this.book.scored.at(-1);
    return scored !== undefined && scored.lastRound === this.#closed?.round;
  }

  /** @returns null while nothing was earned by anybody who has an account, or not scored yet */
  bundle(state: RunState, place: BundlePlace): Bundle | null {
    const earned = this.book.earned();
    if (!this.#closed || earned.length === 0 || !this.canSettle) return null;
    const count = uint64(this.#leaves.length);
    const roundsRoot = hashLeaf("manyhands/rounds/v1", count, merkleRoot(this.#leaves));
    return {
      form: "manyhands settlement 1",
      runId: state.runId,
      ...place,
      ...this.#closed,
      roundsRoot: toHex(roundsRoot),
      accounts: earned.map(({ account, cumulative }) => ({ account, cumulative: `${cumulative}` })),
      total: `${totalOf(earned)}`,
      ...(this.#pay.scores ? { scores: this.#scoresOf(place) } : {}),
    };
  }

  #scoresOf({ sequence }: BundlePlace): BundleScores {
    return this.#evidence.partOf(sequence, this.book.scored.length);
  }
}

export function totalOf(earned: readonly Earned[]): bigint {
  return earned.reduce((sum, { cumulative }) => sum + cumulative, 0n);
}

/** H("manyhands/round/v1", round 8, updatesRoot, creditRoot, stateRoot). @source docs/spec §9.3 */
function roundLeaf(event: EventOf<"RoundClosed">): Bytes {
  const { round, updatesRoot, creditRoot, stateRoot } = event;
  const roots = [updatesRoot, creditRoot, stateRoot].map(fromHex);
  return hashLeaf("manyhands/round/v1", uint64(round), ...roots);
}

/** Text of a bundle: its SHA-256 is the posting's evidence. */
export function bundleText(bundle: Bundle): string {
  return canonicalJson(bundle);
}

/** The accounts of a bundle as the Rewards contract checks them. */
export function creditTreeOf({ onChainRunId, accounts }: Bundle): CreditTree {
  const credits = accounts.map(({ account, cumulative }) => ({
    account: `0x${account}` as const,
    cumulative: BigInt(cumulative),
  }));
  return new CreditTree(BigInt(onChainRunId), credits);
}

/** What attestors sign of a bundle. */
export function postingOf(bundle: Bundle): Posting {
  const tree = creditTreeOf(bundle);
  return {
    runId: BigInt(bundle.onChainRunId),
    sequence: BigInt(bundle.sequence),
    roundsRoot: `0x${bundle.roundsRoot}`,
    creditRoot: tree.root,
    total: tree.total,
    modelRoot: `0x${bundle.weightsRoot}`,
    evidence: `0x${toHex(sha256(utf8(bundleText(bundle))))}`,
  };
}
