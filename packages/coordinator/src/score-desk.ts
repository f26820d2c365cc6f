// The port behind which validators score a run's windows: what the server tells of them, and hands
// on. No consensus and no signatures here: who keeps them is beside the coordinator.
import type { Result } from "@manyhands/base/result";

export type ScoreEntry = {
  readonly window: number;
  /** It ends with the close of this round. */
  readonly lastRound: number;
  /** commit: commitments are taken · reveal: they are opened · closed. */
  readonly phase: "commit" | "reveal" | "closed";
  /** Who has committed, and who has revealed, 0x…. */
  readonly committed: readonly string[];
  readonly revealed: readonly string[];
};

/** Why something was not taken: a code that never changes its meaning (§9.6), and the facts. */
export type ScoreRefusal = { readonly code: string; readonly message: string };

export type ScoreDesk = {
  /** The newest windows, oldest first. */
  list(): readonly ScoreEntry[];
  /** All that was said of a window so far, as canonical JSON; null if there is none. */
  transcript(window: number): string | null;
  /** @param said what came, not looked at */
  commit(window: number, said: unknown): Result<null, ScoreRefusal>;
  reveal(window: number, said: unknown): Result<null, ScoreRefusal>;
};
