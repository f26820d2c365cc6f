// Every screen in every state that a picture is taken of: what `npm run screens` works off.
import type { RunStatus } from "@manyhands/coordinator/status";
import type { Payout } from "@manyhands/protocol/keys";
import type { DeviceView, Offer } from "@manyhands/worker/browser/device-view";
import { FEW_HANDS } from "./hands.ts";
import { OWN_ACCOUNT, PRETEND_PAY, pretendDesk } from "./pretend-money.ts";
import { PretendRun } from "./pretend-run.ts";
import type { Pretence } from "./pretend-server.ts";

export type RunName =
  | "paying"
  | "unfunded"
  | "busy"
  | "empty"
  | "paused"
  | "finished"
  | "failing"
  | "damaged"
  | "long";

export type Shot = {
  readonly name: string;
  /** `:run` becomes the run's id. */
  readonly path: string;
  readonly run: RunName;
  readonly device?: Partial<DeviceView>;
  /** Without its join link. */
  readonly isStranger?: boolean;
  /** With the owner's token of the run. */
  readonly isOwner?: boolean;
  /** A button to press first, by its name. */
  readonly press?: string;
  /** Text to wait for before the picture. */
  readonly until?: string;
  /** Switches to turn on first, by their names. */
  readonly switches?: readonly string[];
  /** Whom the device is paid to. */
  readonly payout?: Payout;
  /** A wallet is there, on the chain of this number. */
  readonly walletOn?: number;
  /** Instead of the model's thread. */
  readonly writer?: "writes" | "fails";
  /** Coordinator gone after the first answer. */
  readonly isAway?: boolean;
};

export function pretences(): Readonly<Record<RunName, Pretence>> {
  const busy = new PretendRun({ hands: FEW_HANDS, rounds: 60, end: "training" });
  const long = new PretendRun({ hands: FEW_HANDS, rounds: 30, name: "long", end: "training" });
  const damaged = new PretendRun({
    hands: FEW_HANDS,
    rounds: 12,
    name: "damaged",
    end: "training",
  });
  const victim = damaged.rows.findLastIndex(({ event }) => event.includes("UpdateCommitted")) - 20;
  const held = (status: RunStatus): RunStatus => ({
    ...status,
    trouble: "The disk is full: writing a blob needs 0.97 MB, and 0.2 MB are free.",
  });
  return {
    busy: { run: busy },
    empty: { run: new PretendRun({ hands: [], rounds: 0, name: "empty" }) },
    paused: { run: new PretendRun({ hands: FEW_HANDS, rounds: 9, name: "paused", end: "paused" }) },
    finished: {
      run: new PretendRun({ hands: FEW_HANDS, rounds: 80, name: "sonnets", end: "finished" }),
    },
    failing: {
      run: new PretendRun({ hands: FEW_HANDS, rounds: 20, name: "failing", end: "training" }),
      status: held,
    },
    paying: {
      run: new PretendRun({
        hands: FEW_HANDS.map((hand, index) =>
          index === 1 ? { ...hand, account: OWN_ACCOUNT } : hand,
        ),
        ...{ rounds: 52, name: "sea songs", end: "training", pay: PRETEND_PAY },
      }),
      settlements: pretendDesk(true),
    },
    unfunded: {
      run: new PretendRun({
        ...{ hands: FEW_HANDS, rounds: 3, name: "sonnets", end: "training", pay: PRETEND_PAY },
      }),
      settlements: pretendDesk(false),
    },
    long: { run: long, status: withThousand, stretched: 10_000 },
    damaged: {
      run: damaged,
      row: (row) =>
        row.sequence === victim ? { ...row, signature: row.signature.replace(/^../, "00") } : row,
    },
  };
}

/** The status of a run with a thousand devices. */
export function withThousand(status: RunStatus): RunStatus {
  const workers = Array.from({ length: 1_000 }, (_, index) => {
    const model = status.workers[index % status.workers.length];
    if (!model) throw new Error("a run has workers");
    const workerId = `${index.toString(16).padStart(8, "0")}${model.workerId.slice(8)}`;
    return { ...model, workerId, name: `Hand ${index + 1}`, credit: 1_000 * (1_000 - index) };
  });
  return { ...status, round: 10_000, workers };
}

const OFFER: Offer = {
  fit: "fits",
  why: null,
  compute: "gpu",
  runtimeBytes: 6_400_000,
  dataBytes: 1_115_394,
  weightsBytes: 19_311_616,
  keptBytes: 0,
  roundBytes: 1_930_000,
  memoryBytes: 410_000_000,
};

const READY: Partial<DeviceView> = { phase: "ready", offer: OFFER };

const TRAINING: Partial<DeviceView> = {
  phase: "training",
  now: "Training round 60, with rests so that the device stays cool.",
  offer: OFFER,
  step: { at: 9, of: 16 },
  tokens: 214_000,
  updates: 14,
  tokensPerSecond: 1_840,
  loss: 1.871,
  bytesUsed: 34_600_000,
  firstUpdateMs: 11_400,
};

export const SHOTS: readonly Shot[] = [
  { name: "home", path: "/", run: "busy" },
  { name: "contribute-ready", path: "/runs/:run", run: "busy", device: READY },
  { name: "contribute-live", path: "/runs/:run", run: "busy", device: TRAINING },
  {
    name: "contribute-resting",
    path: "/runs/:run",
    run: "busy",
    device: {
      ...TRAINING,
      phase: "resting",
      now: "Resting: this device is not charging.",
      tokensPerSecond: 0,
    },
  },
  {
    name: "contribute-loading",
    path: "/runs/:run",
    run: "busy",
    device: {
      ...READY,
      phase: "loading",
      now: "Downloading what training needs.",
      loading: { done: 11_200_000, total: 26_800_000 },
    },
  },
  {
    name: "contribute-too-small",
    path: "/runs/:run",
    run: "busy",
    device: {
      phase: "ready",
      offer: {
        ...OFFER,
        fit: "too-small",
        why: "Training needs about 410 MB of memory; the limit here is 256 MB.",
        compute: "wasm",
      },
    },
  },
  {
    name: "contribute-failing",
    path: "/runs/:run",
    run: "busy",
    device: {
      ...TRAINING,
      phase: "ended",
      now: "Stopped: the weights here differ from the run's.",
      problem: {
        message: "This device's weights came out different from the run's.",
        hint: "Load the page again; if it happens twice, this device's graphics driver computes wrongly.",
      },
    },
  },
  {
    name: "contribute-ended",
    path: "/runs/:run",
    run: "finished",
    device: { ...TRAINING, phase: "ended", now: "The run is finished. Thank you.", step: null },
  },
  { name: "contribute-stranger", path: "/runs/:run", run: "busy", isStranger: true },
  { name: "watch-busy", path: "/runs/:run/watch", run: "busy" },
  { name: "watch-long", path: "/runs/:run/watch", run: "long" },
  { name: "watch-empty", path: "/runs/:run/watch", run: "empty" },
  { name: "watch-finished", path: "/runs/:run/watch", run: "finished" },
  { name: "watch-failing", path: "/runs/:run/watch", run: "failing" },
  { name: "watch-away", path: "/runs/:run/watch", run: "paused", isAway: true },
  { name: "ledger-browse", path: "/runs/:run/ledger", run: "busy" },
  {
    name: "ledger-sound",
    path: "/runs/:run/ledger",
    run: "busy",
    press: "Check the whole log",
    until: "The log is sound",
  },
  {
    name: "ledger-damaged",
    path: "/runs/:run/ledger",
    run: "damaged",
    press: "Check the whole log",
    until: "is damaged",
  },
  { name: "limits", path: "/limits", run: "busy" },
  {
    name: "limits-slowed",
    path: "/limits",
    run: "busy",
    switches: ["Only at these hours"],
    device: {
      ...TRAINING,
      slowed: "It works less for now: its steps have become slow, so it is probably hot, or busy.",
    },
  },
  { name: "people", path: "/runs/:run/people", run: "busy", device: TRAINING },
  { name: "people-empty", path: "/runs/:run/people", run: "empty" },
  { name: "certificate", path: "/runs/:run/certificate", run: "finished", device: TRAINING },
  { name: "profile", path: "/profile", run: "busy", device: TRAINING },
  { name: "contribute-paying", path: "/runs/:run", run: "paying", device: READY },
  { name: "contribute-unfunded", path: "/runs/:run", run: "unfunded", device: READY },
  {
    name: "pay-own",
    path: "/runs/:run/pay",
    run: "paying",
    device: TRAINING,
    payout: { account: OWN_ACCOUNT, delegation: "ab".repeat(65) },
    until: "Nobody can take it back",
  },
  { name: "pay-first", path: "/runs/:run/pay", run: "unfunded", device: TRAINING, walletOn: 1 },
  { name: "pay-no-wallet", path: "/runs/:run/pay", run: "paying", device: READY },
  {
    name: "pay-wrong-network",
    path: "/runs/:run/pay",
    run: "paying",
    device: TRAINING,
    walletOn: 1,
    press: "Connect Fox wallet",
    until: "Your wallet is on another network",
  },
  { name: "pay-nothing", path: "/runs/:run/pay", run: "busy", device: READY },
  {
    name: "owner-pay",
    path: "/owner",
    run: "paying",
    isOwner: true,
    walletOn: 7_433_000,
    press: "Connect Fox wallet",
    until: "Finish on its chain",
  },
  {
    name: "owner-pay-begin",
    path: "/owner",
    run: "unfunded",
    isOwner: true,
    walletOn: 7_433_000,
    press: "Connect Fox wallet",
    until: "Make the run on its chain",
  },
  { name: "owner-token", path: "/owner", run: "busy" },
  { name: "owner", path: "/owner", run: "busy", isOwner: true },
  { name: "model-begin", path: "/runs/:run/model", run: "busy" },
  {
    name: "model-busy",
    path: "/runs/:run/model",
    run: "busy",
    writer: "writes",
    switches: ["Compare two rounds"],
    press: "Write",
    until: "let the morning answer",
  },
  {
    name: "model-failing",
    path: "/runs/:run/model",
    run: "busy",
    writer: "fails",
    press: "Write",
    until: "It could not be loaded",
  },
];
