// The port behind which a run is settled: what the server tells of settlements, and hands on.
// No chain and no money here: who settles is beside the coordinator.
import type { Result } from "@manyhands/base/result";

export type SettlementEntry = {
  readonly sequence: number;
  /** The last closed round that it covers. */
  readonly round: number;
  /** Who has signed it, 0x…. */
  readonly attestors: readonly string[];
};

/** A run's settlements, as somebody beside the coordinator keeps them. */
export type SettlementDesk = {
  /** Oldest first. */
  list(): readonly SettlementEntry[];
  /** The bundle's canonical text; null if there is none of this number. */
  bundle(sequence: number): string | null;
  /** Takes an attestor's signature; a refusal says why. */
  sign(sequence: number, signature: string): Promise<Result<null, string>>;
};
