// Whether the device has taken up work that it has not put down.
import type { DeviceView } from "@manyhands/worker/browser/device-view";

export function isAtWork({ phase }: DeviceView): boolean {
  return phase === "loading" || phase === "training" || phase === "resting" || phase === "paused";
}
