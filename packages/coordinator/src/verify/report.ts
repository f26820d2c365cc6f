// What a verification found: every problem with its place. No texts for screens: the command
// line's.
import type { Phase } from "@manyhands/protocol/state";

export type VerifyProblem = {
  /** "row 17", "blob ab12…", "log.sqlite", "export/model.safetensors" … */
  readonly place: string;
  readonly problem: string;
};

export type VerifyReport = {
  readonly runId: string | null;
  readonly phase: Phase | null;
  readonly rows: number;
  readonly rounds: number;
  /** Rounds whose weights were computed again from the updates' bytes and agree. */
  readonly roundsRecomputed: number;
  readonly updates: number;
  readonly blobs: number;
  readonly blobBytes: number;
  readonly stateRoot: string | null;
  /** Empty if everything agrees. */
  readonly problems: readonly VerifyProblem[];
};

export type VerifyProgress = {
  readonly doing: "blobs" | "log" | "export";
  readonly done: number;
  /** Null while it is not known. */
  readonly total: number | null;
};

export class Findings {
  readonly #problems: VerifyProblem[] = [];

  get problems(): readonly VerifyProblem[] {
    return this.#problems;
  }

  add(place: string, problem: string): void {
    this.#problems.push({ place, problem });
  }
}
