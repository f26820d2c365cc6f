// Whom a page's credit is paid to: one account for this browser, and what its wallet has signed for
// a run. Not the account's key: that is the wallet's, and never here.
import { type Decoded, hex, object } from "@manyhands/base/decode";
import type { Payout, WorkerId } from "@manyhands/protocol/keys";
import type { RunId } from "@manyhands/protocol/run-config";
import type { Shelf } from "./shelf.ts";

const ACCOUNT = "device/account";

const accountDecoder = object({ account: hex(20) });
/** A delegation is of one account, for one device, in one run. */
const signedDecoder = object({ account: hex(20), device: hex(32), signature: hex(65) });
type Signed = Decoded<typeof signedDecoder>;

type Place = { readonly run: RunId; readonly device: WorkerId };

/**
 * Null: nobody was named.
 *
 * @param place device null: it has no keys yet, so nothing was signed for it
 */
export async function keptPayout(
  shelf: Shelf,
  { run, device }: { readonly run: RunId; readonly device: WorkerId | null },
): Promise<Payout | null> {
  const kept = accountDecoder(await shelf.get(ACCOUNT));
  if (!kept.ok) return null;
  const { account } = kept.value;
  const signed = signedDecoder(await shelf.get(placeOf(run)));
  const isOurs = signed.ok && signed.value.account === account && signed.value.device === device;
  return { account, delegation: isOurs ? signed.value.signature : null };
}

export async function keepPayout(
  shelf: Shelf,
  { run, device }: Place,
  { account, delegation }: Payout,
): Promise<void> {
  if (delegation !== null) {
    const signed: Signed = { account, device, signature: delegation };
    await shelf.put(placeOf(run), signed, { durable: true });
  }
  await shelf.put(ACCOUNT, { account }, { durable: true });
}

function placeOf(run: RunId): string {
  return `run/${run}/delegation`;
}
