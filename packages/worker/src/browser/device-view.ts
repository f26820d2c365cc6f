// The device as a page sees it: plain data, and the few things that a person can ask of it.
// No logic and no DOM types: views, tests and the device itself share these words.
import type { Payout } from "@manyhands/protocol/keys";
import type { DeviceSettings } from "../device/settings.ts";

export type { DeviceSettings } from "../device/settings.ts";

/**
 * looking: finding out what this device can do · ready: waits for the person · loading: downloads
 * before training · training · resting: one of the limits holds it · paused: the person did ·
 * ended: the run or this device's part is over · elsewhere: another tab works already.
 */
export type DevicePhase =
  | "looking"
  | "ready"
  | "loading"
  | "training"
  | "resting"
  | "paused"
  | "ended"
  | "elsewhere";

export type Fit = "fits" | "perhaps" | "too-small" | "cannot";

/** What taking part would cost, told before anything heavy is loaded. */
export type Offer = {
  readonly fit: Fit;
  /** Why it does not, in one sentence; null if it does. */
  readonly why: string | null;
  readonly compute: "gpu" | "wasm" | null;
  readonly runtimeBytes: number;
  readonly dataBytes: number;
  readonly weightsBytes: number;
  /** Of all these, what this browser has already. */
  readonly keptBytes: number;
  readonly roundBytes: number;
  readonly memoryBytes: number;
};

export type DeviceView = {
  readonly phase: DevicePhase;
  /** The run that it works for or looks at. */
  readonly runId: string | null;
  /** What it is doing, or why it is not, in one plain sentence. */
  readonly now: string;
  readonly offer: Offer | null;
  readonly loading: { readonly done: number; readonly total: number } | null;
  readonly step: { readonly at: number; readonly of: number } | null;
  readonly isFinishing: boolean;
  /** Why it works less than the person allows, in one sentence; null if it does not. */
  readonly slowed: string | null;
  readonly workerId: string | null;
  /** On a GPU: sequences at once, and for how many ms it is held at most by one submission. */
  readonly gpu: { readonly microBatch: number; readonly ms: number } | null;
  readonly tokens: number;
  readonly updates: number;
  readonly tokensPerSecond: number;
  readonly loss: number | null;
  /** Sent and received for this run. */
  readonly bytesUsed: number;
  /** From opening the link to the first accepted update; null before. */
  readonly firstUpdateMs: number | null;
  /** Something went wrong that the person should know. */
  readonly problem: { readonly message: string; readonly hint: string | null } | null;
};

/** A store and its questions; what is asked for returns at once, what follows is a new view. */
export type Device = {
  readonly view: () => DeviceView;
  readonly subscribe: (listener: () => void) => () => void;
  /** Finds out what the run would cost here. Downloads nothing heavy. */
  look(joinUrl: string): void;
  /** How another run would fit here; null where it cannot be read. Downloads nothing heavy. */
  fitOf(joinUrl: string): Promise<Fit | null>;
  start(joinUrl: string, name: string): void;
  /** Completes this round, then stops. */
  finish(): void;
  pause(): void;
  resume(): void;
  /** Sends what is done if that is quick, and stops. */
  leave(): void;
  readonly settings: () => DeviceSettings;
  setSettings(settings: DeviceSettings): void;
  readonly defaults: () => DeviceSettings;
  /** The identity as a text for a file; null before there is one. */
  exportKey(): Promise<string | null>;
  /** @returns why not; null if the key is now this device's */
  importKey(text: string): Promise<string | null>;
  /** Its name in runs' logs; its keys are made at the first call. */
  deviceId(): Promise<string>;
  /** Whom its credit in a run is paid to, as this browser keeps it; null: nobody was named. */
  payout(runId: string): Promise<Payout | null>;
  /** Kept; a device at work tells its run by joining anew between two rounds. */
  setPayout(runId: string, payout: Payout): Promise<void>;
};

export const IDLE_VIEW: DeviceView = {
  phase: "looking",
  runId: null,
  now: "",
  offer: null,
  loading: null,
  step: null,
  isFinishing: false,
  slowed: null,
  gpu: null,
  workerId: null,
  tokens: 0,
  updates: 0,
  tokensPerSecond: 0,
  loss: null,
  bytesUsed: 0,
  firstUpdateMs: null,
  problem: null,
};
