// A device that only pretends, for pictures and for tests of the screens: what it shows is what the
// test wrote into this page. It trains nothing, and no built page of the product contains it.
import type { Payout } from "@manyhands/protocol/keys";
import {
  type Device,
  type DeviceSettings,
  type DeviceView,
  IDLE_VIEW,
} from "@manyhands/worker/browser/device-view";

const DEFAULTS: DeviceSettings = {
  power: 0.7,
  onlyCharging: true,
  onlyUnmetered: true,
  onlyVisible: true,
  hours: null,
  dataBytesPerDay: 500e6,
  memoryBytesMax: null,
  keepAwake: false,
};

declare global {
  interface Window {
    /** Set by the test before the page's own scripts run. */
    pretend?: Partial<DeviceView>;
    pretendPayout?: Payout | null;
    /** What the page asked of its device, in order. */
    asked?: string[];
    /** Changes what the device shows. */
    show?: (view: Partial<DeviceView>) => void;
  }
}

export function makeDevice(): Device {
  let view: DeviceView = { ...IDLE_VIEW, ...window.pretend };
  let settings = DEFAULTS;
  let payout = window.pretendPayout ?? null;
  const listeners = new Set<() => void>();
  const asked: string[] = [];
  window.asked = asked;
  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  window.show = (next) => {
    view = { ...view, ...next };
    tell();
  };
  const ask = (what: string) => (): void => {
    asked.push(what);
  };
  return {
    view: () => view,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    look: ask("look"),
    fitOf: async () => "fits",
    start: (_, name) => asked.push(`start ${name}`),
    finish: ask("finish"),
    pause: ask("pause"),
    resume: ask("resume"),
    leave: ask("leave"),
    settings: () => settings,
    setSettings: (next) => {
      settings = next;
      asked.push("settings");
      tell();
    },
    defaults: () => DEFAULTS,
    exportKey: async () => '{"manyhands":"key"}',
    deviceId: async () => view.workerId ?? "ab".repeat(32),
    payout: async () => payout,
    setPayout: async (_, next) => {
      payout = next;
      asked.push(`pay ${next.account} ${next.delegation === null ? "pasted" : "signed"}`);
    },
    importKey: async (text) => (text.includes("manyhands") ? null : "no key"),
  };
}
