// One stay in a run: a WorkerHost on a page's ports, from joining to leaving.
// Not when to stay: device-thread.ts.
import { type Sha256, sha256 } from "@manyhands/base/hash";
import { openBrowserSocket } from "@manyhands/net/browser/text-socket";
import type { HttpSend } from "@manyhands/net/http";
import type { Payout } from "@manyhands/protocol/keys";
import { NAME_CHARS_MAX, SERVER_MESSAGE_BYTES_MAX } from "@manyhands/protocol/limits";
import type { CoreStatus } from "../core/status.ts";
import type { Identity } from "../core/types.ts";
import { apiPort, type BlobKeeper } from "../host/api-port.ts";
import { WorkerHost } from "../host/host.ts";
import type { JoinUrl } from "../host/join-url.ts";
import type { ComputePort, RunFiles, WorkerTimers } from "../host/ports.ts";
import { verifySignature } from "./identity.ts";

export type StayParts = {
  readonly target: JoinUrl;
  readonly name: string;
  readonly identity: Identity;
  readonly payout: Payout | null;
  readonly compute: ComputePort;
  readonly files: RunFiles;
  readonly blobs: BlobKeeper;
  readonly send: HttpSend;
  readonly onBytes: (bytes: { readonly up: number; readonly down: number }) => void;
  readonly onStatus: (status: CoreStatus) => void;
  readonly onNotice: (sentence: string) => void;
};

/** The portable one: a thread's WebCrypto only answers later. */
export const pageSha256: Sha256 = sha256;

export function openStay(parts: StayParts): WorkerHost {
  const { target, compute, files, blobs, send, onBytes } = parts;
  const hash = pageSha256;
  const host = new WorkerHost({
    config: {
      runId: target.runId,
      token: target.token,
      name: parts.name.slice(0, NAME_CHARS_MAX).toWellFormed() || "browser",
      identity: parts.identity,
      ...(parts.payout ? { payout: parts.payout } : {}),
      verify: verifySignature,
      numerics: compute.numerics,
      seed: Math.floor(Math.random() * 2 ** 48),
    },
    ports: {
      link: {
        open: (events) =>
          openBrowserSocket({
            url: target.socketUrl,
            timers,
            events,
            onBytes,
            frameBytesMax: SERVER_MESSAGE_BYTES_MAX,
          }),
      },
      api: apiPort({ runUrl: target.runUrl, send, hash, cache: blobs }),
      compute,
      files,
      timers,
      hash,
    },
    events: { onStatus: parts.onStatus, onNotice: parts.onNotice },
  });
  host.start();
  return host;
}

const timers: WorkerTimers = {
  now: () => performance.now(),
  set(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};
