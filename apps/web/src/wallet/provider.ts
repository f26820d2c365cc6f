// Wallets as they announce themselves to pages (EIP-6963), and how they are asked (EIP-1193).
// What they say is looked at before it is believed: any extension may announce anything.
import { err, ok, type Result } from "@manyhands/base/result";

export type Provider = {
  request(question: { readonly method: string; readonly params?: unknown }): Promise<unknown>;
  on?(event: string, listener: (value: unknown) => void): unknown;
};

export type Announced = {
  readonly uuid: string;
  readonly name: string;
  /** As data:, or null: nothing of the page is fetched from elsewhere. */
  readonly icon: string | null;
  /** Its maker's name, backwards: the same at every visit. */
  readonly rdns: string;
  readonly provider: Provider;
};

const NAME_CHARS_MAX = 48;
const ICON_CHARS_MAX = 300_000;
const WALLETS_MAX = 24;

/** Calls back with each wallet that is there, or comes later. @returns how to stop listening */
export function listenForWallets(found: (wallet: Announced) => void): () => void {
  const seen = new Set<string>();
  const hear = (event: Event): void => {
    const wallet = event instanceof CustomEvent ? announcedIn(event.detail) : null;
    if (!wallet || seen.has(wallet.uuid) || seen.size >= WALLETS_MAX) return;
    seen.add(wallet.uuid);
    found(wallet);
  };
  addEventListener("eip6963:announceProvider", hear);
  dispatchEvent(new Event("eip6963:requestProvider"));
  return () => removeEventListener("eip6963:announceProvider", hear);
}

/** Null for what is no announcement. */
export function announcedIn(detail: unknown): Announced | null {
  const [info, provider] = [partOf(detail, "info"), partOf(detail, "provider")];
  const [uuid, name, rdns] = ["uuid", "name", "rdns"].map((key) => partOf(info, key));
  const icon = partOf(info, "icon");
  if (typeof partOf(provider, "request") !== "function") return null;
  if (typeof uuid !== "string" || typeof name !== "string" || typeof rdns !== "string") return null;
  const shown = name
    .replace(/[\p{Cc}\p{Cf}]/gu, "")
    .trim()
    .slice(0, NAME_CHARS_MAX);
  const isPicture =
    typeof icon === "string" && icon.length <= ICON_CHARS_MAX && /^data:image\//i.test(icon);
  return {
    ...{ uuid, rdns, name: shown === "" ? rdns.slice(0, NAME_CHARS_MAX) : shown },
    ...{ icon: isPicture ? icon : null, provider: provider as Provider },
  };
}

function partOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}

/**
 * rejected: the person said no · busy: an earlier question is still open in the wallet ·
 * unknown-chain: it has never heard of that chain · failed: anything else of the wallet's ·
 * refused: the coordinator said no.
 */
export type WalletTrouble = {
  readonly kind: "rejected" | "busy" | "unknown-chain" | "failed" | "refused";
  readonly message: string;
};
export type WalletAnswer<T> = Result<T, WalletTrouble>;

const KINDS: { readonly [code: number]: WalletTrouble["kind"] } = {
  4001: "rejected",
  [-32002]: "busy",
  4902: "unknown-chain",
};
const MESSAGE_CHARS_MAX = 300;

export async function askWallet(
  provider: Provider,
  method: string,
  params?: readonly unknown[],
): Promise<WalletAnswer<unknown>> {
  try {
    return ok(await provider.request(params ? { method, params } : { method }));
  } catch (caught) {
    return err(troubleOf(caught));
  }
}

function troubleOf(caught: unknown): WalletTrouble {
  const said = partOf(caught, "message");
  const message = typeof said === "string" ? said.slice(0, MESSAGE_CHARS_MAX) : "no reason given";
  // Some wallets wrap the answer that they got.
  const codes = [caught, partOf(partOf(caught, "data"), "originalError")].map((one) =>
    Number(partOf(one, "code")),
  );
  const kind = codes.map((code) => KINDS[code]).find((one) => one !== undefined);
  return { kind: kind ?? "failed", message };
}
