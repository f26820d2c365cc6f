// The entry of the device's worker thread: importing it is all that a bundler's worker file does.
import { DeviceThread } from "./device-thread.ts";
import type { FromThread, ToThread } from "./thread-messages.ts";

/** The runtime's own threads may load the same bundle: those are not the device. */
const isDevice = !self.name.startsWith("em-pthread");

if (isDevice) {
  const post = (message: FromThread): void => self.postMessage(message);
  let thread: DeviceThread | null = null;
  self.onmessage = ({ data }: MessageEvent<ToThread>) => {
    if (data.kind === "hello") thread ??= new DeviceThread(data, post);
    else thread?.receive(data);
  };
}
