// The bytes that are signed. By workers: a domain, the run, and the canonical JSON of what is
// claimed. By the coordinator: the head of its log, hashed with the run.
// Not the signatures themselves: keys and Ed25519 are the shells' business.
import { type Bytes, fromHex, utf8 } from "@manyhands/base/bytes";
import { canonicalJson } from "@manyhands/base/canonical";
import { hashLeaf } from "@manyhands/base/hash";
import type { Join, Update } from "./events.ts";
import type { RunId } from "./run-config.ts";

/**
 * What a worker signs about an update. The run id keeps a signature out of every other run; the
 * round and the base root inside the update keep it out of every other round.
 *
 * @source docs/spec §3.2
 */
export function commitSigningBytes(runId: RunId, update: Update): Bytes {
  return utf8(`manyhands/commit/v1\n${runId}\n${canonicalJson(update)}`);
}

/**
 * What a worker signs to join. The challenge, fresh per connection, keeps an old join from being
 * replayed.
 *
 * @param challenge 32 bytes in hex, from the coordinator
 * @source docs/spec §3.2
 */
export function joinSigningBytes(runId: RunId, challenge: string, join: Join): Bytes {
  return utf8(`manyhands/join/v1\n${runId}\n${challenge}\n${canonicalJson(join)}`);
}

/**
 * What the coordinator signs about a row of its log, and so about a receipt.
 *
 * @param head 32 bytes in hex, of the row
 * @source docs/spec §3.2
 */
export function logHeadSigningBytes(runId: RunId, head: string): Bytes {
  return hashLeaf("manyhands/log-head/v1", fromHex(runId), fromHex(head));
}
