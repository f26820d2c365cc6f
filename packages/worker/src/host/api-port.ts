// The run's HTTP interface as the host's port: blobs in and out, the list of rounds, the session.
// Not the transport (each platform has its own), and not what is kept of blobs.
import type { Sha256 } from "@manyhands/base/hash";
import { BlobClient } from "@manyhands/net/blob-client";
import type { HttpSend } from "@manyhands/net/http";
import type { ApiPort, BlobUse } from "./ports.ts";

export type CachedUse = Exclude<BlobUse, "none">;

export interface BlobKeeper {
  /** The blob if it is here and whole, else what `fetch` brings, which is then kept. */
  get(
    wanted: { readonly root: string; readonly byteLength: number; readonly use: CachedUse },
    fetch: () => Promise<Uint8Array>,
  ): Promise<Uint8Array>;
}

export type ApiPortParts = {
  readonly runUrl: string;
  readonly send: HttpSend;
  readonly hash: Sha256;
  readonly cache: BlobKeeper;
};

/** 1024 closed rounds, each below 1 KiB. */
const ROUNDS_BYTES_MAX = 1024 * 1024;

export function apiPort({ runUrl, send, hash, cache }: ApiPortParts): ApiPort {
  let session: string | null = null;
  const client = new BlobClient({
    runUrl,
    send,
    hash,
    bearer: () => session,
    sleep: (ms) => new Promise((resolve) => void setTimeout(resolve, ms)),
    unit: Math.random,
  });
  return {
    setSession(token) {
      // The old one stays until there is a new one: an upload under way may still finish with it.
      session = token ?? session;
    },
    blob({ root, byteLength, use }, signal) {
      const fetch = () => client.get(root, byteLength, signal);
      return use === "none" ? fetch() : cache.get({ root, byteLength, use }, fetch);
    },
    put: (root, bytes, signal) => client.put(root, bytes, signal),
    rounds: (from, signal) => client.json(`/rounds?from=${from}`, ROUNDS_BYTES_MAX, signal),
  };
}
