// A run's settlements, step by step: bundle, signatures, posting, window, claims. Every step looks
// at the chain and the journal first, so it can be begun anew at any time and by any process.

import { assert } from "@manyhands/base/assert";
import type { Pay } from "@manyhands/protocol/pay";
import type { RunId } from "@manyhands/protocol/run-config";
import { type Address, getAddress, type Hex, isAddressEqual } from "viem";
import type { Contracts } from "./contracts.ts";
import { checkCreated } from "./created.ts";
import { RefusedError } from "./errors.ts";
import type { Journal, StoredSettlement } from "./journal.ts";
import { type Bundle, bundleDecoder, bundleText, creditTreeOf, postingOf } from "./ledger.ts";
import { endorsementOf, inOrder, type Posting, recoverAttestor } from "./posting.ts";
import type { Sender } from "./sender.ts";

/** Claims of one transaction. */
const BATCH = 50;
/** The last settlement that was claimed for everybody. */
const CLAIMED = "claimed";

export type SettlerOptions = {
  readonly runId: RunId;
  readonly pay: Pay;
  readonly contracts: Contracts;
  readonly journal: Journal;
  readonly sender: Sender;
  /** Cheap: asked often, so that the log is read only when a settlement may be due. */
  readonly roundsClosed: () => number;
  /**
   * The bundle of the newest closed round whose total is at most `funded`; null if there is none.
   * From the log, anew at each call.
   */
  readonly bundleWithin: (
    funded: bigint,
    place: Pick<Bundle, "onChainRunId" | "sequence">,
  ) => Bundle | null;
};

export type Standing =
  | { readonly kind: "not-created" }
  | { readonly kind: "nothing-new" }
  | { readonly kind: "closed"; readonly why: "paused" | "finished" }
  | { readonly kind: "signatures"; readonly sequence: number; readonly missing: number }
  | { readonly kind: "window"; readonly sequence: number; readonly finalAt: number }
  | { readonly kind: "paid"; readonly sequence: number; readonly accounts: number };

export class Settler {
  readonly #options: SettlerOptions;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  get onChainRunId(): number | null {
    return onChainRunIdOf(this.#options.journal);
  }

  /** Goes as far as it can now. @param force a settlement now, however few rounds are closed */
  async advance(force: boolean): Promise<Standing> {
    const { journal, sender, contracts } = this.#options;
    await sender.resume(checkCreated(this.onChainRunId));
    const id = this.onChainRunId;
    if (id === null) return { kind: "not-created" };
    const expected = await contracts.nextSequence(id);
    const newest = journal.newestSettlement();
    if (newest && newest.sequence >= expected) return this.#post(id, newest);
    if (newest) {
      const waits = await contracts.pending(id);
      if (waits) return { kind: "window", sequence: waits.sequence, finalAt: waits.finalAt };
      await this.#claimOnce(id, newest.sequence);
    }
    const next = await this.#prepare(id, expected, force);
    if (next) return this.#post(id, next);
    return newest
      ? { kind: "paid", sequence: newest.sequence, accounts: bundleOf(newest).accounts.length }
      : { kind: "nothing-new" };
  }

  /** A receiver that its token refuses is not tried again until the next settlement. */
  async #claimOnce(id: number, sequence: number): Promise<void> {
    const { journal } = this.#options;
    if (journal.fact(CLAIMED) === String(sequence)) return;
    await this.claim(id);
    journal.putFact(CLAIMED, String(sequence));
  }

  /** Pays everybody to whom something final is due. @returns how many were due */
  async claim(id: number): Promise<number> {
    const { contracts, journal, sender } = this.#options;
    const { sequence } = await contracts.settled(id);
    const stored = journal.settlement(sequence);
    if (!stored) return 0;
    const tree = creditTreeOf(bundleOf(stored));
    const due: Address[] = [];
    for (let from = 0; from < tree.credits.length; from += BATCH) {
      const some = tree.credits.slice(from, from + BATCH);
      // Asked at once, they are one request.
      const claimed = await Promise.all(some.map(({ account }) => contracts.claimed(id, account)));
      const open = some.filter(({ cumulative }, i) => (claimed[i] ?? 0n) < cumulative);
      due.push(...open.map(({ account }) => account));
    }
    for (let from = 0; from < due.length; from += BATCH) {
      const claims = due.slice(from, from + BATCH).map((account) => tree.claimOf(account));
      const tried = journal.transactions().filter(({ purpose }) => purpose.startsWith("claim:"));
      const call = contracts.rewardsCall("claimMany", BigInt(id), claims);
      await sender.once(`claim:${sequence}:${tried.length + 1}`, call);
    }
    return due.length;
  }

  /** The next bundle, stored; null while there is nothing to settle. */
  async #prepare(id: number, sequence: number, force: boolean): Promise<StoredSettlement | null> {
    const { contracts, journal, bundleWithin, roundsClosed, pay } = this.#options;
    const before = journal.newestSettlement()?.round ?? -1;
    if (!force && roundsClosed() - 1 - before < pay.settleEvery) return null;
    const [{ funded }, settled] = [await contracts.run(id), await contracts.settled(id)];
    const bundle = bundleWithin(funded, { onChainRunId: id, sequence });
    if (!bundle || BigInt(bundle.total) <= settled.total) return null;
    if (!force && bundle.round - before < pay.settleEvery) return null;
    const stored = { sequence, round: bundle.round, bundle: bundleText(bundle) };
    journal.putSettlement(stored);
    return stored;
  }

  /** A paused run takes no settlements, nor a finished one after its last window. */
  async #closed(id: number, sequence: number): Promise<Standing | null> {
    const { contracts } = this.#options;
    const isPosted = (await contracts.nextSequence(id)) > sequence;
    if (isPosted || (await contracts.isOpen(id))) return null;
    const { paused } = await contracts.run(id);
    return { kind: "closed", why: paused ? "paused" : "finished" };
  }

  async #post(id: number, stored: StoredSettlement): Promise<Standing> {
    const { contracts, journal, sender, pay } = this.#options;
    const { sequence } = stored;
    const signatures = journal.signatures(sequence);
    const missing = pay.threshold - signatures.size;
    if (missing > 0) return { kind: "signatures", sequence, missing };
    const closed = await this.#closed(id, sequence);
    if (closed) return closed;
    const posting = postingOf(bundleOf(stored));
    const endorsement = endorsementOf(attestorsOf(pay), pay.threshold, signatures);
    await sender.once(`post:${sequence}`, contracts.settlementCall("post", posting, endorsement));
    const waits = await contracts.pending(id);
    if (waits) return { kind: "window", sequence, finalAt: waits.finalAt };
    await this.#claimOnce(id, sequence);
    return { kind: "paid", sequence, accounts: bundleOf(stored).accounts.length };
  }
}

export function onChainRunIdOf(journal: Journal): number | null {
  const id = journal.fact("onChainRunId");
  return id === null ? null : Number(id);
}

export function attestorsOf(pay: Pay): readonly Address[] {
  return inOrder(pay.attestors.map((hex) => getAddress(`0x${hex}`)));
}

/** @throws never for what the journal itself has stored */
export function bundleOf({ bundle }: Pick<StoredSettlement, "bundle">): Bundle {
  const decoded = bundleDecoder(JSON.parse(bundle));
  assert(decoded.ok, "the journal's bundles were bundles when they were stored");
  return decoded.value;
}

/**
 * What attestors sign of the newest settlement, computed once: whoever has a run's token may send
 * signatures, and a tree of thousands of accounts takes half a second.
 */
export class NewestPosting {
  #known: { readonly sequence: number; readonly posting: Posting } | null = null;

  of(stored: StoredSettlement): Posting {
    const { sequence } = stored;
    if (this.#known?.sequence !== sequence) {
      this.#known = { sequence, posting: postingOf(bundleOf(stored)) };
    }
    return this.#known.posting;
  }
}

export type SignatureDesk = {
  readonly journal: Journal;
  readonly pay: Pay;
  readonly settlement: Address;
  readonly posting?: NewestPosting;
};

/**
 * Takes an attestor's signature of the newest settlement: those before it are posted, or never will
 * be.
 *
 * @throws RefusedError if it is not one of the run's attestors', of this settlement
 */
export async function takeSignature(
  { journal, pay, settlement, posting = new NewestPosting() }: SignatureDesk,
  sequence: number,
  signature: Hex,
): Promise<Address> {
  const stored = journal.newestSettlement();
  if (stored?.sequence !== sequence) {
    const but = stored ? `, but ${stored.sequence}` : "";
    throw new RefusedError(`no settlement ${sequence} waits for signatures here${but}`);
  }
  const domain = { chainId: pay.chain.chainId, settlement };
  const signer = await recoverAttestor(posting.of(stored), domain, signature);
  const isOne = signer && attestorsOf(pay).some((one) => isAddressEqual(one, signer));
  if (!isOne) {
    throw new RefusedError("the signature is not an attestor's of this run, of this settlement", {
      hint: "Sign what the coordinator serves now, with the key of one of pay.attestors.",
    });
  }
  journal.putSignature(sequence, signer, signature);
  return signer;
}
