// The page's end of the device: a store of views, and messages to the thread. Main thread, small:
// everything heavy is in the thread's own bundle.
import { canonicalJson } from "@manyhands/base/canonical";
import type { Payout } from "@manyhands/protocol/keys";
import { type DeviceSettings, defaultSettings, settingsDecoder } from "../device/settings.ts";
import { type Device, type DeviceView, type Fit, IDLE_VIEW } from "./device-view.ts";
import { kindOfDevice, Surroundings } from "./page-conditions.ts";
import type { ComputeChoice, FromThread, RuntimeFiles, ToThread } from "./thread-messages.ts";

export type DeviceOptions = {
  /** Starts the module worker whose only content is an import of device-worker.ts. */
  readonly thread: () => Worker;
  readonly runtime: RuntimeFiles;
  /** For tests and for people who know better. Default "auto". */
  readonly compute?: ComputeChoice;
  /** At most so many threads of WASM. Default 4. */
  readonly threadsMax?: number;
  /** A processor that plays a GPU draws nothing: its submissions are tried for tests only. */
  readonly triesSoftwareGpu?: boolean;
};

const SETTINGS = "manyhands.settings";

export function connectDevice(options: DeviceOptions): Device {
  return new ConnectedDevice(options);
}

class ConnectedDevice implements Device {
  readonly #thread: Worker;
  readonly #listeners = new Set<() => void>();
  readonly #answers = new Map<number, (text: string | null) => void>();
  readonly #surroundings: Surroundings;
  readonly #awake = new WakeLock();
  readonly #defaults = defaultSettings(kindOfDevice());
  #settings: DeviceSettings;
  #view: DeviceView = IDLE_VIEW;
  #asked = 0;
  #told = "";

  constructor(options: DeviceOptions) {
    const { thread, runtime, compute = "auto", threadsMax = 4 } = options;
    this.#settings = keptSettings() ?? this.#defaults;
    this.#thread = thread();
    this.#thread.onmessage = ({ data }: MessageEvent<FromThread>) => this.#hear(data);
    this.#thread.onerror = ({ message }) => this.#threadFailed(message);
    this.#surroundings = Surroundings.watch(() => this.#tellConditions());
    this.#tell({
      kind: "hello",
      runtime: absolute(runtime),
      compute,
      threadsMax,
      triesSoftwareGpu: options.triesSoftwareGpu ?? false,
      settings: this.#settings,
      conditions: this.#surroundings.conditions,
      sinceOpenMs: performance.now(),
    });
  }

  readonly view = (): DeviceView => this.#view;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  look(url: string): void {
    this.#tell({ kind: "look", url });
  }

  async fitOf(url: string): Promise<Fit | null> {
    return (await this.#ask((id) => ({ kind: "fit", id, url }))) as Fit | null;
  }

  start(url: string, name: string): void {
    this.#tell({ kind: "start", url, name });
  }

  finish(): void {
    this.#tell({ kind: "finish" });
  }

  pause(): void {
    this.#tell({ kind: "pause" });
  }

  resume(): void {
    this.#tell({ kind: "resume" });
  }

  leave(): void {
    this.#tell({ kind: "leave" });
  }

  readonly settings = (): DeviceSettings => this.#settings;

  setSettings(settings: DeviceSettings): void {
    this.#settings = settings;
    try {
      localStorage.setItem(SETTINGS, canonicalJson(settings));
    } catch {
      // A private window: the settings hold until it is closed.
    }
    this.#tell({ kind: "settings", settings });
    this.#changed();
  }

  readonly defaults = (): DeviceSettings => this.#defaults;

  exportKey(): Promise<string | null> {
    return this.#ask((id) => ({ kind: "export-key", id }));
  }

  importKey(text: string): Promise<string | null> {
    return this.#ask((id) => ({ kind: "import-key", id, text }));
  }

  async deviceId(): Promise<string> {
    return (await this.#ask((id) => ({ kind: "device-id", id }))) ?? "";
  }

  async payout(runId: string): Promise<Payout | null> {
    const text = await this.#ask((id) => ({ kind: "payout", id, runId }));
    return JSON.parse(text ?? "null") as Payout | null;
  }

  async setPayout(runId: string, payout: Payout): Promise<void> {
    await this.#ask((id) => ({ kind: "set-payout", id, runId, payout }));
  }

  #ask(question: (id: number) => ToThread): Promise<string | null> {
    this.#asked += 1;
    const id = this.#asked;
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      this.#tell(question(id));
    });
  }

  #tell(message: ToThread): void {
    this.#thread.postMessage(message);
  }

  #tellConditions(): void {
    const { conditions } = this.#surroundings;
    const text = JSON.stringify(conditions);
    if (text === this.#told) return;
    this.#told = text;
    this.#tell({ kind: "conditions", conditions });
    this.#awake.keep(this.#wantsAwake());
  }

  #hear(message: FromThread): void {
    if (message.kind === "answer") {
      this.#answers.get(message.id)?.(message.text);
      this.#answers.delete(message.id);
      return;
    }
    this.#view = message.view;
    this.#changed();
  }

  #changed(): void {
    this.#awake.keep(this.#wantsAwake());
    for (const listener of this.#listeners) listener();
  }

  #wantsAwake(): boolean {
    const isVisible = document.visibilityState === "visible";
    return this.#settings.keepAwake && isVisible && this.#view.phase === "training";
  }

  #threadFailed(message: string): void {
    const problem = {
      message: `The device’s thread has failed: ${message || "it could not be loaded"}.`,
      hint: "Reload the page.",
    };
    this.#view = { ...this.#view, phase: "ended", now: problem.message, problem };
    this.#changed();
  }
}

/** The thread's own address is another one: it gets whole addresses. */
function absolute({ wasm, webgpu }: RuntimeFiles): RuntimeFiles {
  const whole = (address: string): string => new URL(address, location.href).href;
  const file = (of: RuntimeFiles["wasm"]) => ({
    ...of,
    script: whole(of.script),
    binary: whole(of.binary),
  });
  return { wasm: file(wasm), webgpu: file(webgpu) };
}

function keptSettings(): DeviceSettings | null {
  try {
    const kept = settingsDecoder(JSON.parse(localStorage.getItem(SETTINGS) ?? "null"));
    return kept.ok ? kept.value : null;
  } catch {
    // No storage, or nonsense in it: the defaults.
    return null;
  }
}

/** The screen stays on while that is asked for; browsers let go of it when the page is hidden. */
class WakeLock {
  #lock: WakeLockSentinel | null = null;
  #isAsked = false;

  keep(wanted: boolean): void {
    if (!wanted) {
      void this.#lock?.release();
      this.#lock = null;
    } else if (!this.#lock && !this.#isAsked) void this.#take();
  }

  async #take(): Promise<void> {
    this.#isAsked = true;
    try {
      const lock = await navigator.wakeLock.request("screen");
      lock.addEventListener("release", () => {
        this.#lock = null;
      });
      this.#lock = lock;
    } catch {
      // Low battery, or no such thing: the screen goes off as usual.
    } finally {
      this.#isAsked = false;
    }
  }
}
