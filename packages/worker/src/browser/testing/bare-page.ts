// A page without anything to see: the device, for tests that drive it by hand. Its choices come
// from the address: ?compute=gpu, ?threads=1, ?tries.
import { connectDevice } from "../connect-device.ts";
import type { Device, DeviceView } from "../device-view.ts";
import type { ComputeChoice } from "../thread-messages.ts";

declare global {
  interface Window {
    device: Device;
    /** Every view that was shown, in order. */
    views: DeviceView[];
    /** Resolves with the first view, shown or yet to come, that has these parts. */
    seen(parts: Partial<DeviceView>): Promise<DeviceView>;
  }
}

const search = new URLSearchParams(location.search);
const asked = search.get("compute");
const compute: ComputeChoice = asked === "gpu" || asked === "wasm" ? asked : "auto";

const device = connectDevice({
  thread: () => new Worker("/assets/bare-thread.js", { type: "module", name: "device" }),
  runtime: {
    wasm: {
      script: "/assets/ort-wasm-simd-threaded.mjs",
      binary: "/assets/ort-wasm-simd-threaded.wasm",
      bytes: 3_600_000,
    },
    webgpu: {
      script: "/assets/ort-wasm-simd-threaded.asyncify.mjs",
      binary: "/assets/ort-wasm-simd-threaded.asyncify.wasm",
      bytes: 6_500_000,
    },
  },
  compute,
  threadsMax: Number(search.get("threads") ?? 4),
  triesSoftwareGpu: search.has("tries"),
});

window.device = device;
window.views = [];
device.subscribe(() => window.views.push(device.view()));
window.seen = (parts) => {
  const wanted = Object.entries(parts);
  const matches = (view: DeviceView): boolean =>
    wanted.every(([key, value]) => Reflect.get(view, key) === value);
  return new Promise((resolve) => {
    const look = (): void => {
      if (!matches(device.view())) return;
      stop();
      resolve(device.view());
    };
    const stop = device.subscribe(look);
    look();
  });
};
