// The runtime's WASM file: fetched once with progress, then kept by its address, which has a hash
// of its content. Not the script: browsers load that as a module.
import { messageOf } from "@manyhands/base/errors";
import { NetworkError } from "@manyhands/net/errors";
import type { RuntimeFile } from "./thread-messages.ts";

const CACHE = "manyhands-runtime";
/** Of the file as it is, where the server sends it compressed. */
const PLAIN_LENGTH = "x-plain-length";

export async function isRuntimeKept({ binary }: RuntimeFile): Promise<boolean> {
  const cache = await openCache();
  return (await cache?.match(binary)) !== undefined;
}

/**
 * @param onBytes of the file as it is: done, and in all as far as that is known
 * @throws NetworkError
 */
export async function loadRuntime(
  file: RuntimeFile,
  onBytes: (done: number, total: number) => void,
): Promise<{ readonly bytes: Uint8Array; readonly wasFetched: boolean }> {
  const cache = await openCache();
  const kept = await cache?.match(file.binary);
  if (kept) return { bytes: new Uint8Array(await kept.arrayBuffer()), wasFetched: false };
  const bytes = await download(file, onBytes);
  await keep(cache, file, bytes);
  return { bytes, wasFetched: true };
}

async function download(
  { binary, bytes }: RuntimeFile,
  onBytes: (done: number, total: number) => void,
): Promise<Uint8Array> {
  try {
    const response = await fetch(binary, { credentials: "omit" });
    if (!response.ok) throw new NetworkError(`HTTP ${response.status}`);
    const total = Number(response.headers.get(PLAIN_LENGTH) ?? bytes);
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    let done = 0;
    const reader = response.body?.getReader();
    for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) {
      pieces.push(piece.value);
      done += piece.value.length;
      onBytes(done, Math.max(done, total));
    }
    return new Uint8Array(await new Blob(pieces).arrayBuffer());
  } catch (cause) {
    throw new NetworkError(`the runtime could not be loaded: ${messageOf(cause)}`, { cause });
  }
}

/** One build is enough: what an older page kept of the same runtime is dropped. */
async function keep(cache: Cache | null, file: RuntimeFile, bytes: Uint8Array): Promise<void> {
  if (!cache) return;
  try {
    const family = familyOf(file.binary);
    for (const { url } of await cache.keys()) {
      if (familyOf(url) === family) await cache.delete(url);
    }
    const headers = { "content-type": "application/wasm" };
    await cache.put(file.binary, new Response(Uint8Array.from(bytes), { headers }));
  } catch {
    // A full disk: it is fetched again next time, if the browser's own cache has not kept it.
  }
}

/** ort-wasm-simd-threaded-3fA9.wasm and its predecessors. */
function familyOf(address: string): string {
  const name = new URL(address, self.location.href).pathname.split("/").at(-1) ?? "";
  return name.includes("asyncify") ? "webgpu" : "wasm";
}

async function openCache(): Promise<Cache | null> {
  try {
    return await caches.open(CACHE);
  } catch {
    // Pages without a secure context have none.
    return null;
  }
}
