// What survives a process, as data: names of weights, the unsent update, and the count of what was
// given. Not the files: the Node shell lays those out.
import { type Decoded, hex, integer, object } from "@manyhands/base/decode";
import { updateDecoder } from "@manyhands/protocol/events";

const hash = hex(32);

export const weightsNameDecoder = object({
  /** Rounds closed before this state. */
  rounds: integer(0, 2 ** 32),
  weightsRoot: hash,
  stateRoot: hash,
});
export type WeightsName = Decoded<typeof weightsNameDecoder>;

export const storedUpdateDecoder = object({ update: updateDecoder, signature: hex(64) });
export type StoredUpdate = Decoded<typeof storedUpdateDecoder>;

export const ledgerDecoder = object({
  /** Rounds below this number are answered: no other update is built for them. */
  settledRounds: integer(0),
  acceptedUpdates: integer(0),
  /** Tokens of accepted updates. */
  tokensGiven: integer(0),
});
export type Ledger = Decoded<typeof ledgerDecoder>;

export const EMPTY_LEDGER: Ledger = { settledRounds: 0, acceptedUpdates: 0, tokensGiven: 0 };
