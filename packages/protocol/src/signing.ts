// The bytes that workers sign: a domain, the run, and the canonical JSON of what is claimed.
// Not the signatures themselves: keys and Ed25519 are the shells' business.
import { type Bytes, utf8 } from "@manyhands/base/bytes";
import { canonicalJson } from "@manyhands/base/canonical";
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
