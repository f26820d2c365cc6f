// The page's device over the worker package's browser entry.
import { type Device, type DeviceSettings, IDLE_VIEW } from "./device.ts";

const SETTINGS: DeviceSettings = {
  power: 0.7,
  onlyCharging: false,
  onlyUnmetered: false,
  onlyVisible: true,
  hours: null,
  dataBytesPerDay: null,
  memoryBytesMax: null,
  keepAwake: false,
};

export function makeDevice(): Device {
  const nothing = (): void => undefined;
  return {
    view: () => IDLE_VIEW,
    subscribe: () => nothing,
    look: nothing,
    start: nothing,
    finish: nothing,
    pause: nothing,
    resume: nothing,
    leave: nothing,
    settings: () => SETTINGS,
    setSettings: nothing,
    defaults: () => SETTINGS,
    exportKey: async () => null,
    importKey: async () => null,
  };
}
