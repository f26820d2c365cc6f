// Roots over what workers gave: updates, credit, the audit commitment. Fixed-width binary, so that
// a contract can recompute them. Not the roots of weights, which are aggregation's.
import { compareText, fromHex, toHex, uint64 } from "@manyhands/base/bytes";
import { hashLeaf, merkleRoot } from "@manyhands/base/hash";
import type { Update } from "./events.ts";
import type { WorkerId } from "./keys.ts";
import type { RunId } from "./run-config.ts";
import type { Commitment } from "./state.ts";

/**
 * Hashed leaf of one accepted update, in hex: domain "manyhands/update/v1", then run 32, round 8,
 * worker 32, baseRoot 32, updateRoot 32, updateBytes 8, tokens 8, innerSteps 8, groupCount 8 bytes.
 *
 * @source docs/spec §3.2
 */
export function updateLeaf(runId: RunId, workerId: WorkerId, update: Update): string {
  return toHex(
    hashLeaf(
      "manyhands/update/v1",
      fromHex(runId),
      uint64(update.round),
      fromHex(workerId),
      fromHex(update.baseRoot),
      fromHex(update.updateRoot),
      uint64(update.updateBytes),
      uint64(update.tokens),
      uint64(update.innerSteps),
      uint64(update.groupCount),
    ),
  );
}

/** The order of contributions in a close, and of their leaves: by worker, then by round. */
export function compareCommitments(a: Commitment, b: Commitment): number {
  return compareText(a.workerId, b.workerId) || a.update.round - b.update.round;
}

/**
 * Root of the updates that the close of `round` takes, in hex; their order of arrival is nothing.
 *
 * @source docs/spec §3.2
 */
export function updatesRoot(round: number, commitments: readonly Commitment[]): string {
  const leaves = commitments.toSorted(compareCommitments).map(({ leaf }) => fromHex(leaf));
  return toHex(
    hashLeaf("manyhands/updates/v1", uint64(round), uint64(leaves.length), merkleRoot(leaves)),
  );
}

/** Whose credit, and how much. */
export type CreditEntry = { readonly workerId: WorkerId; readonly credit: number };

/**
 * Root of the cumulative credit of every worker on record, gone ones included, in hex.
 *
 * @source docs/spec §3.2
 */
export function creditRoot(entries: Iterable<CreditEntry>): string {
  const leaves = [...entries]
    .sort((a, b) => compareText(a.workerId, b.workerId))
    .map(({ workerId, credit }) =>
      hashLeaf("manyhands/credit/v1", fromHex(workerId), uint64(credit)),
    );
  return toHex(hashLeaf("manyhands/credits/v1", uint64(leaves.length), merkleRoot(leaves)));
}

/** What RoundOpened commits to: nobody, the coordinator included, chooses audits afterwards. */
export function auditCommitmentOf(auditSeed: string): string {
  return toHex(hashLeaf("manyhands/audit-seed/v1", fromHex(auditSeed)));
}
