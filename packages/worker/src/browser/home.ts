// What a device has in this browser, opened once: shelf, blobs, counts, keys, lock, and what it was
// at work for when its tab went away. Not a run: device-work.ts.
import { type Decoded, object, oneOf, text } from "@manyhands/base/decode";
import { fetchHttp } from "@manyhands/net/browser/fetch-client";
import type { HttpSend } from "@manyhands/net/http";
import type { Identity } from "../core/types.ts";
import type { BlobKeeper } from "../host/api-port.ts";
import { type DeviceFacts, deviceFacts } from "./backend.ts";
import { type BlobFolder, openBlobs } from "./blob-cache.ts";
import { DeviceLock } from "./device-lock.ts";
import { identityOf, makeKeyFile, readKeyFile } from "./identity.ts";
import { openShelf, type Shelf } from "./shelf.ts";
import { pageSha256 } from "./stay.ts";
import { Traffic } from "./traffic.ts";

const KEYS = "device/keys";
const INTENT = "device/intent";

const intentDecoder = object({ url: text(2_048), name: text(256), wish: oneOf("work", "pause") });
/** What a person asked for, and has not taken back. */
export type Intent = Decoded<typeof intentDecoder>;

export type Home = {
  readonly shelf: Shelf;
  readonly blobs: BlobKeeper & Pick<BlobFolder, "keptBytes">;
  readonly traffic: Traffic;
  readonly lock: DeviceLock;
  readonly facts: DeviceFacts;
  readonly send: HttpSend;
};

export async function openHome(
  threadsMax: number,
  notice: (sentence: string) => void,
): Promise<Home> {
  const shelf = await openShelf("manyhands", notice);
  const traffic = new Traffic(shelf);
  await traffic.restore();
  return {
    shelf,
    traffic,
    blobs: await openBlobs(pageSha256, notice),
    lock: new DeviceLock(),
    facts: await deviceFacts(threadsMax),
    send: fetchHttp({ onBytes: (bytes) => traffic.count(bytes) }),
  };
}

/** The device's keys, if it has any yet. */
export async function keptKeys(shelf: Shelf): Promise<Identity | null> {
  return identityOf(await shelf.get(KEYS));
}

/** The device's keys; new ones at the first call. */
export async function deviceKeys(shelf: Shelf): Promise<Identity> {
  const kept = await keptKeys(shelf);
  if (kept) return kept;
  const file = makeKeyFile();
  await shelf.put(KEYS, file, { durable: true });
  // Ask for storage that is not cleared by itself: the key is what credit is bound to.
  await navigator.storage?.persist?.().catch(() => false);
  return identityOf(file) ?? deviceKeys(shelf);
}

export async function exportKeys(shelf: Shelf): Promise<string | null> {
  const file = await shelf.get(KEYS);
  return identityOf(file) ? `${JSON.stringify(file, null, 2)}\n` : null;
}

/** @returns why not; null if these are now the device's keys */
export async function importKeys(shelf: Shelf, content: string): Promise<string | null> {
  const file = readKeyFile(content);
  if (!file.ok) return file.error;
  await shelf.put(KEYS, file.value, { durable: true });
  return null;
}

export async function keptIntent(shelf: Shelf): Promise<Intent | null> {
  const intent = intentDecoder(await shelf.get(INTENT));
  return intent.ok ? intent.value : null;
}

export async function keepIntent(shelf: Shelf, intent: Intent | null): Promise<void> {
  if (intent) await shelf.put(INTENT, intent);
  else await shelf.delete(INTENT);
}
