// The device thread: hears what the page asks, one thing after the other, and shows one view.
// Not the work itself: device-work.ts.
import { messageOf } from "@manyhands/base/errors";
import type { DeviceSettings } from "../device/settings.ts";
import type { Trouble } from "../host/fetch-run.ts";
import type { DeviceView } from "./device-view.ts";
import { DeviceWork } from "./device-work.ts";
import {
  deviceKeys,
  exportKeys,
  type Home,
  importKeys,
  keepIntent,
  keptIntent,
  keptKeys,
  openHome,
} from "./home.ts";
import { knowCrashes } from "./kept-compute.ts";
import { type LookOptions, lookAt, type Prospect, weigh } from "./look.ts";
import { keepPayout, keptPayout } from "./payout.ts";
import type { FromThread, PageConditions, ToThread } from "./thread-messages.ts";
import { viewOf } from "./view.ts";

type Hello = Extract<ToThread, { kind: "hello" }>;
type PayMessage = Extract<ToThread, { kind: "device-id" | "payout" | "set-payout" }>;

/** Views are told this often at most. */
const VIEW_MS = 100;
const LOOK_AGAIN_MS = 4_000;

export class DeviceThread {
  readonly #post: (message: FromThread) => void;
  readonly #hello: Hello;
  readonly #home: Promise<Home>;
  /** By this thread's clock. */
  readonly #openedAt: number;
  #queue: Promise<void> = Promise.resolve();
  #settings: DeviceSettings;
  #conditions: PageConditions;
  #prospect: Prospect | null = null;
  #lookTrouble: Trouble | null = null;
  #isElsewhere = false;
  #workerId: string | null = null;
  #work: DeviceWork | null = null;
  #bytesUsed = (): number => 0;
  #firstUpdateMs: number | null = null;
  #notice: string | null = null;
  #viewTimer: ReturnType<typeof setTimeout> | null = null;
  #laterTimer: ReturnType<typeof setTimeout> | undefined;
  #shown = "";

  constructor(hello: Hello, post: (message: FromThread) => void) {
    this.#hello = hello;
    this.#post = post;
    // A thread's clock begins when the page starts it, and this is the page's first word to it.
    this.#openedAt = -hello.sinceOpenMs;
    this.#settings = hello.settings;
    this.#conditions = hello.conditions;
    this.#home = openHome(hello.threadsMax, (sentence) => {
      this.#notice = sentence;
      this.#show();
    });
  }

  receive(message: ToThread): void {
    // What the page is allowed and what it sees need not wait for what it asked before.
    if (message.kind === "conditions") this.#setConditions(message.conditions);
    this.#queue = this.#queue.then(async () => {
      try {
        await this.#carryOut(message);
      } catch (caught) {
        this.#lookTrouble = { message: `${messageOf(caught)}.`, hint: "Reload the page." };
      }
      this.#show();
    });
  }

  async #carryOut(message: ToThread): Promise<void> {
    switch (message.kind) {
      case "look":
        await this.#look(message.url);
        return;
      case "start":
        await knowCrashes((await this.#home).shelf).catch(() => undefined);
        await this.#start(message.url, message.name);
        return;
      case "finish":
      case "pause":
      case "leave":
        this.#work?.setWish(message.kind);
        return;
      case "resume":
        this.#work?.setWish("work");
        return;
      case "settings":
        await this.#setSettings(message.settings);
        return;
      case "fit": {
        const found = await lookAt(message.url, await this.#home, this.#lookOptions());
        this.#answer(message.id, found.ok ? found.value.offer.fit : null);
        return;
      }
      case "export-key":
        this.#answer(message.id, await exportKeys((await this.#home).shelf));
        return;
      case "import-key":
        this.#answer(message.id, await this.#importKeys(message.text));
        return;
      case "device-id":
      case "payout":
      case "set-payout":
        await this.#carryOutPay(message);
        return;
      case "hello":
      case "conditions":
    }
  }

  async #carryOutPay(message: PayMessage): Promise<void> {
    const { shelf } = await this.#home;
    if (message.kind === "payout") {
      const device = (await keptKeys(shelf))?.workerId ?? null;
      const payout = await keptPayout(shelf, { run: message.runId, device });
      this.#answer(message.id, JSON.stringify(payout));
      return;
    }
    const { workerId: device } = await deviceKeys(shelf);
    if (message.kind === "device-id") {
      this.#answer(message.id, device);
      return;
    }
    await keepPayout(shelf, { run: message.runId, device }, message.payout);
    if (this.#work?.prospect.target.runId === message.runId) this.#work.joinAnew();
    this.#answer(message.id, null);
  }

  #lookOptions(): LookOptions {
    return { ...this.#hello, settings: this.#settings };
  }

  async #look(url: string): Promise<void> {
    const home = await this.#home;
    clearTimeout(this.#laterTimer);
    if (this.#isAtWork()) return;
    this.#work = null;
    this.#workerId = (await keptKeys(home.shelf))?.workerId ?? null;
    const found = await lookAt(url, home, this.#lookOptions());
    this.#prospect = found.ok ? found.value : null;
    this.#lookTrouble = found.ok ? null : found.error;
    this.#bytesUsed = () => home.traffic.ofRun;
    if (!found.ok) {
      if (found.error.isAway) this.#lookLater(url);
      return;
    }
    await this.#lookElsewhere(home, url);
    const intent = await keptIntent(home.shelf);
    const wasAtWork = intent !== null && intent.url === url;
    // What has just ended a tab is not begun again by itself: the person decides.
    if (!wasAtWork || this.#isElsewhere || found.value.hasCrashed) return;
    await this.#start(url, intent.name, intent.wish);
  }

  /** A page that was opened while the coordinator was away goes on by itself. */
  #lookLater(url: string): void {
    this.#laterTimer = setTimeout(() => this.receive({ kind: "look", url }), LOOK_AGAIN_MS);
  }

  /** A tab that goes away frees the device for this one. */
  async #lookElsewhere(home: Home, url: string): Promise<void> {
    this.#isElsewhere = await home.lock.isElsewhere();
    if (!this.#isElsewhere) return;
    home.lock.whenFree(() => {
      this.#isElsewhere = false;
      this.receive({ kind: "look", url });
    });
  }

  async #start(url: string, name: string, wish: "work" | "pause" = "work"): Promise<void> {
    const home = await this.#home;
    if (this.#isAtWork()) return;
    if (this.#prospect?.url !== url) {
      const found = await lookAt(url, home, this.#lookOptions());
      if (!found.ok) {
        this.#lookTrouble = found.error;
        return;
      }
      this.#prospect = found.value;
    }
    const prospect = this.#prospect;
    if (prospect.backend === null) return;
    if (!(await home.lock.take())) {
      await this.#lookElsewhere(home, url);
      return;
    }
    await keepIntent(home.shelf, { url, name: name || "browser", wish }).catch(() => undefined);
    this.#work = new DeviceWork({
      home,
      prospect,
      name: name || "browser",
      runtime: this.#hello.runtime,
      triesSoftwareGpu: this.#hello.triesSoftwareGpu,
      settings: this.#settings,
      conditions: this.#conditions,
      onChange: () => this.#show(),
      onEnd: () => {
        home.lock.release();
        this.#show();
      },
    });
    this.#work.setWish(wish);
  }

  #isAtWork(): boolean {
    return this.#work !== null && !this.#work.isOver;
  }

  #setConditions(conditions: PageConditions): void {
    this.#conditions = conditions;
    this.#work?.setConditions(conditions);
  }

  async #setSettings(settings: DeviceSettings): Promise<void> {
    this.#settings = settings;
    this.#work?.setSettings(settings);
    if (!this.#prospect || this.#isAtWork()) return;
    this.#prospect = {
      ...this.#prospect,
      ...(await weigh(this.#prospect.run, await this.#home, this.#lookOptions())),
    };
  }

  async #importKeys(content: string): Promise<string | null> {
    if (this.#isAtWork())
      return "Leave the run first: its updates are signed with the present key.";
    const { shelf } = await this.#home;
    const problem = await importKeys(shelf, content);
    this.#workerId = (await keptKeys(shelf))?.workerId ?? null;
    return problem;
  }

  #answer(id: number, text: string | null): void {
    this.#post({ kind: "answer", id, text });
  }

  #show(): void {
    this.#noticeFirstUpdate();
    this.#viewTimer ??= setTimeout(() => {
      this.#viewTimer = null;
      const view = this.#view();
      const shown = JSON.stringify(view);
      if (shown === this.#shown) return;
      this.#shown = shown;
      this.#post({ kind: "view", view });
    }, VIEW_MS);
  }

  #noticeFirstUpdate(): void {
    const work = this.#work;
    if (this.#firstUpdateMs !== null || !work || work.updatesBefore === null) return;
    const isFirst = (work.status?.acceptedUpdates ?? 0) > work.updatesBefore;
    if (isFirst) this.#firstUpdateMs = Math.round(performance.now() - this.#openedAt);
  }

  #view(): DeviceView {
    return viewOf({
      runId: this.#prospect?.target.runId ?? null,
      offer: this.#prospect?.offer ?? null,
      isElsewhere: this.#isElsewhere,
      lookTrouble: this.#lookTrouble,
      work: this.#work,
      workerId: this.#workerId,
      bytesUsed: this.#bytesUsed(),
      firstUpdateMs: this.#firstUpdateMs,
      notice: this.#notice,
    });
  }
}
