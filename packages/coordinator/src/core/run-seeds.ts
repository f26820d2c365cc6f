// The seeds of a round. The audit seed must be known again after a restart, and to nobody before
// its time: it follows from the coordinator's key, whose signature nobody else can make, and
// Ed25519 signs the same bytes in the same way.
import { fromHex, toHex, uint64, utf8 } from "@manyhands/base/bytes";
import { hashLeaf } from "@manyhands/base/hash";
import type { RunId } from "@manyhands/protocol/run-config";
import type { Sign } from "../log/log.ts";

/** @source docs/spec §4.2 */
export function auditSeedOf(runId: RunId, round: number, sign: Sign): string {
  const asked = hashLeaf("manyhands/audit-seed-secret/v1", fromHex(runId), uint64(round));
  return toHex(hashLeaf("manyhands/audit-seed-derived/v1", utf8(sign(asked))));
}
