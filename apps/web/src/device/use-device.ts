// The one device of this page, for React.

import type { Device, DeviceSettings, DeviceView } from "@manyhands/worker/browser/device-view";
import { useMemo, useSyncExternalStore } from "react";
import { makeDevice } from "#device";

let device: Device | null = null;

export function theDevice(): Device {
  device ??= makeDevice();
  return device;
}

export function useDevice(): DeviceView {
  const source = theDevice();
  return useSyncExternalStore(source.subscribe, source.view);
}

export function useSettings(): readonly [DeviceSettings, (settings: DeviceSettings) => void] {
  const source = theDevice();
  const settings = useSyncExternalStore(source.subscribe, source.settings);
  return useMemo(() => [settings, (next) => source.setSettings(next)] as const, [source, settings]);
}

/** This device's name in a run's log; null where it is not part of the run. */
export function useOwnWorkerId(runId: string): string | null {
  const view = useDevice();
  return view.runId === runId ? view.workerId : null;
}
