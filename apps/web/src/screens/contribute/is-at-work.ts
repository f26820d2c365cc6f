// Whether the device has taken up work that it has not put down.
import type { DeviceView } from "../../device/device.ts";

export function isAtWork({ phase }: DeviceView): boolean {
  return phase === "loading" || phase === "training" || phase === "resting" || phase === "paused";
}
