// A device's part in one run: stays in it while it may, rests while a limit holds, and keeps what
// the next visit needs. Not the page's words: device-thread.ts and view.ts.
import { messageOf } from "@manyhands/base/errors";
import type { Payout } from "@manyhands/protocol/keys";
import type { Trial } from "../compute/held-gpu.ts";
import type { CoreStatus } from "../core/status.ts";
import type { WorkerEnd } from "../core/types.ts";
import { govern, restMs, type Standing } from "../device/governor.ts";
import { afterRest, afterStep, COLD, type Heat } from "../device/heat.ts";
import type { DeviceSettings } from "../device/settings.ts";
import type { Trouble } from "../host/fetch-run.ts";
import type { WorkerHost } from "../host/host.ts";
import { openBackend } from "./backend.ts";
import { deviceKeys, type Home, keepIntent } from "./home.ts";
import { KeptCompute } from "./kept-compute.ts";
import { KeptFiles } from "./kept-files.ts";
import type { Prospect } from "./look.ts";
import { OptimizerSaver } from "./optimizer-saver.ts";
import { keptPayout } from "./payout.ts";
import { rest, turn } from "./sleep.ts";
import { openStay } from "./stay.ts";
import type { PageConditions, RuntimeFiles } from "./thread-messages.ts";
import { localMinute } from "./traffic.ts";

export type Wish = "work" | "finish" | "pause" | "leave";

export type WorkOptions = {
  readonly home: Home;
  readonly prospect: Prospect;
  readonly runtime: RuntimeFiles;
  readonly triesSoftwareGpu: boolean;
  readonly name: string;
  readonly settings: DeviceSettings;
  readonly conditions: PageConditions;
  readonly onChange: () => void;
  readonly onEnd: () => void;
};

/** The schedule, the day's data and the heat are looked at so often. */
const LOOK_MS = 5_000;

export class DeviceWork {
  readonly prospect: Prospect;
  wish: Wish = "work";
  standing: Standing | null = null;
  status: CoreStatus | null = null;
  workerId: string | null = null;
  loading: { readonly done: number; readonly total: number } | null = null;
  /** Accepted updates when this visit's training began; null before. */
  updatesBefore: number | null = null;
  end: WorkerEnd | null = null;
  trouble: Trouble | null = null;
  gpu: Trial | null = null;
  isOver = false;
  readonly #options: WorkOptions;
  readonly #files: KeptFiles;
  readonly #saver: OptimizerSaver;
  readonly #timer: ReturnType<typeof setInterval>;
  #settings: DeviceSettings;
  #conditions: PageConditions;
  #heat: Heat = COLD;
  #compute: KeptCompute | null = null;
  #stay: WorkerHost | null = null;
  #isBeginning = false;
  #isLeaving = false;
  #updatesAtFinish: number | null = null;
  /** What a join says has changed: the next pause between rounds is for a new one. */
  #joinsAnew = false;

  constructor(options: WorkOptions) {
    this.#options = options;
    this.prospect = options.prospect;
    this.#settings = options.settings;
    this.#conditions = options.conditions;
    this.#files = new KeptFiles(options.home.shelf, options.prospect.target.runId);
    this.#timer = setInterval(() => this.consider(), LOOK_MS);
    this.#saver = new OptimizerSaver(this.#files, () => this.#compute?.optimizer() ?? null);
  }

  setSettings(settings: DeviceSettings): void {
    this.#settings = settings;
    this.consider();
  }

  setConditions(conditions: PageConditions): void {
    // A page that goes out of sight may be on its way to be closed.
    if (!conditions.visible && this.#conditions.visible) this.#saver.hurry();
    this.#conditions = conditions;
    this.consider();
  }

  setWish(wish: Wish): void {
    this.wish = wish;
    if (wish === "finish") this.#updatesAtFinish = this.status?.acceptedUpdates ?? 0;
    if (wish === "work") this.trouble = null;
    void this.#keepWish().catch(() => undefined);
    this.consider();
    this.#endIfDone();
    if (wish === "leave" && !this.#stay) void this.#over();
  }

  /** As soon as it costs nothing: its join says something else now. */
  joinAnew(): void {
    this.#joinsAnew = true;
    this.#updatesAtFinish = this.status?.acceptedUpdates ?? 0;
    this.#endIfDone();
  }

  /** Compares what is with what may be. */
  consider(): void {
    if (this.isOver) return;
    const now = performance.now();
    this.#heat = afterRest(this.#heat, now);
    const { home, prospect } = this.#options;
    const conditions = {
      ...this.#conditions,
      minuteOfDay: localMinute(),
      bytesToday: home.traffic.today,
      memoryBytes: prospect.offer.memoryBytes,
      heat: this.#heat,
    };
    this.standing = govern(this.standing, this.#settings, conditions, now);
    if (this.#mayWork() && !this.#stay && !this.#isBeginning) void this.#begin();
    if (!this.#mayWork()) this.#endStay();
    this.#options.onChange();
  }

  /** Once: asking again would be another input, and another status. */
  #endStay(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = this.#stay !== null;
    this.#joinsAnew = false;
    this.#stay?.stop("graceful");
  }

  #mayWork(): boolean {
    const isWanted = this.wish === "work" || this.wish === "finish";
    return isWanted && this.standing?.verdict.kind === "run";
  }

  async #begin(): Promise<void> {
    this.#isBeginning = true;
    try {
      const { home, prospect, name } = this.#options;
      await home.traffic.openRun(prospect.target.runId);
      const identity = await deviceKeys(home.shelf);
      this.workerId = identity.workerId;
      this.#compute ??= await this.#openCompute();
      this.loading = null;
      if (!this.#mayWork()) return;
      const stay = openStay({
        target: prospect.target,
        name,
        identity,
        payout: await this.#payout(identity.workerId),
        compute: this.#compute,
        files: this.#files,
        blobs: home.blobs,
        send: home.send,
        onBytes: (bytes) => home.traffic.count(bytes),
        onStatus: (status) => this.#onStatus(status),
        onNotice: () => undefined,
      });
      this.#stay = stay;
      this.#isLeaving = false;
      void stay.ended.then(
        (end) => this.#onEnd(end),
        (bug: unknown) => this.#fail(bug),
      );
    } catch (caught) {
      this.#fail(caught);
    } finally {
      this.#isBeginning = false;
      if (!this.isOver && !this.#stay && this.#mayWork()) this.consider();
      if (this.wish === "leave" && !this.#stay) void this.#over();
    }
  }

  /** An account is nobody's business where nothing is paid. */
  async #payout(device: string): Promise<Payout | null> {
    const { home, prospect } = this.#options;
    if (!prospect.run.pay) return null;
    return keptPayout(home.shelf, { run: prospect.target.runId, device });
  }

  async #openCompute(): Promise<KeptCompute> {
    const { home, prospect, runtime, triesSoftwareGpu } = this.#options;
    const backend = prospect.backend ?? "wasm";
    const compute = await openBackend(backend, {
      runtime,
      threads: home.facts.threads,
      memoryBytesMax: prospect.memoryBytesMax,
      nowMicros: () => Math.round(performance.now() * 1_000),
      pace: (micros, signal) => this.#pace(micros, signal),
      onNotice: () => undefined,
      tries: home.facts.gpu === "hardware" || triesSoftwareGpu,
      onTrial: (trial) => {
        this.gpu = trial;
        this.#options.onChange();
      },
      onFetched: (bytes) => home.traffic.count({ up: 0, down: bytes }),
      onBytes: (done, total) => {
        this.loading = { done, total };
        this.#options.onChange();
      },
    });
    return new KeptCompute(compute, {
      backend,
      shelf: home.shelf,
      afterTraining: () => this.#saver.save(),
    });
  }

  /** After each step: the heat is read, the power slider kept, and now and then state is saved. */
  async #pace(micros: number, signal?: AbortSignal): Promise<void> {
    const { level } = this.#heat;
    if (signal) this.#heat = afterStep(this.#heat, micros, performance.now());
    if (this.#heat.level !== level) this.consider();
    if (signal) await this.#saver.saveNowAndThen();
    const verdict = this.standing?.verdict;
    const ms = verdict?.kind === "run" ? restMs(micros / 1_000, verdict.duty) : 0;
    if (ms < 1) await turn();
    else await rest(ms, signal);
  }

  #onStatus(status: CoreStatus): void {
    this.status = status;
    if (status.doing === "training") this.updatesBefore ??= status.acceptedUpdates;
    this.#endIfDone();
    this.#options.onChange();
  }

  /** Finished: the round's update is booked, or there was none to wait for. */
  #endIfDone(): void {
    if (this.wish !== "finish" && !this.#joinsAnew) return;
    if (!this.#stay) {
      if (this.wish === "finish" && !this.#isBeginning) void this.#over();
      return;
    }
    const { doing = "waiting", acceptedUpdates = 0 } = this.status ?? {};
    const isBetween = doing === "waiting" || doing === "fetching";
    const isBooked = acceptedUpdates > (this.#updatesAtFinish ?? 0);
    if (isBetween || isBooked) this.#endStay();
  }

  #onEnd(end: WorkerEnd): void {
    this.#stay = null;
    if (end.reason === "stopped" && (this.wish === "work" || this.wish === "pause")) {
      this.consider();
      return;
    }
    this.end = end;
    void this.#over();
  }

  /** What failed may work later: the person decides. */
  #fail(caught: unknown): void {
    this.#stay = null;
    this.loading = null;
    this.trouble = { message: `${messageOf(caught)}.`, hint: "Press resume to try again." };
    this.wish = "pause";
    this.#options.onChange();
  }

  async #over(): Promise<void> {
    if (this.isOver) return;
    this.isOver = true;
    clearInterval(this.#timer);
    await keepIntent(this.#options.home.shelf, null).catch(() => undefined);
    await this.#compute?.release().catch(() => undefined);
    this.#options.onEnd();
  }

  async #keepWish(): Promise<void> {
    const { home, prospect, name } = this.#options;
    if (this.wish !== "work" && this.wish !== "pause") return;
    await keepIntent(home.shelf, { url: prospect.url, name, wish: this.wish });
  }
}
