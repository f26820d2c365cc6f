// What the writing thread and the model's screen say to each other.
import type { FrozenRun } from "@manyhands/protocol/run-config";

export type Loading = {
  readonly what: "weights" | "rounds" | "base" | "words" | "runtime" | "graph";
  readonly done: number;
  readonly total: number;
};

export type WriteOrder = {
  readonly kind: "write";
  /** Which of the texts side by side this is. */
  readonly place: number;
  readonly runId: string;
  readonly token: string;
  readonly run: FrozenRun;
  readonly rounds: number | null;
  readonly prompt: string;
  /** The prompt is what a person says to the model, and not what it goes on from. */
  readonly chat: boolean;
  readonly temperature: number;
  readonly topP: number;
  readonly count: number;
  readonly seed: number;
};

export type ModelOrder = WriteOrder | { readonly kind: "stop" };

export type ModelNews =
  | { readonly kind: "loading"; readonly place: number; readonly loading: Loading }
  | { readonly kind: "began"; readonly place: number; readonly rounds: number }
  | {
      readonly kind: "text";
      readonly place: number;
      readonly text: string;
      readonly perSecond: number;
    }
  | { readonly kind: "done"; readonly place: number }
  | { readonly kind: "trouble"; readonly place: number; readonly message: string };
