// The device's look at a run: once per opened link. Work that was interrupted goes on after it.
import type { DeviceView } from "@manyhands/worker/browser/device-view";
import { useEffect } from "react";
import { theDevice } from "../../device/use-device.ts";
import { isAtWork } from "./is-at-work.ts";

/** Not while it works already. @param joinUrl null: this browser has no link of the run */
export function useLook(joinUrl: string | null, runId: string, device: DeviceView): void {
  const isKnown = device.runId === runId;
  const isBusy = isAtWork(device);
  useEffect(() => {
    if (joinUrl !== null && !isKnown && !isBusy) theDevice().look(joinUrl);
  }, [joinUrl, isKnown, isBusy]);
}
