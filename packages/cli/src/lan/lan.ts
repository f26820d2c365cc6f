// `up --lan`: what phones in the same network need to open the run's page. Browsers let a page
// compute only over HTTPS, so there is a second port with this machine's own certificate.
import { homedir } from "node:os";
import { join } from "node:path";
import { InputError } from "@manyhands/base/errors";
import { renderUnicodeCompact } from "uqr";
import { joinUrls, ownAddresses } from "../run/messages.ts";
import type { Paint } from "../terminal/style.ts";
import { type LanCertificate, lanCertificate } from "./certificate.ts";

export type Lan = LanCertificate & {
  /** What it listens on. */
  readonly host: string;
};

/** The same from run to run, so that a phone's bookmark stays good: 7443 beside the usual 7433. */
const PORT_BEYOND = 10;
const PORT_MAX = 65_535;
const FOLDER = join(homedir(), ".manyhands", "lan");

/** @throws InputError if this machine is in no network, or its certificate cannot be kept */
export async function openLan(host: string): Promise<Lan> {
  const addresses = host === "0.0.0.0" || host === "::" ? ownAddresses() : [host];
  if (addresses.length === 0) {
    throw new InputError("--lan: this machine has no address in a network", {
      hint: "Connect it to the Wi-Fi that the phones are in, or leave --lan out.",
    });
  }
  const kept = await lanCertificate({ folder: FOLDER, addresses, now: new Date() });
  return { ...kept, host };
}

/** The port for HTTPS beside one for HTTP; 0 is any free one. */
export function lanPort(port: number): number {
  return port === 0 || port + PORT_BEYOND > PORT_MAX ? 0 : port + PORT_BEYOND;
}

/** How it is told: a line that stays, and the terminal's colours. */
type Voice = { readonly say: (text: string) => void; readonly paint: Paint };

/** The address for phones, as text and as a code. */
export function announceLan(lan: Lan, secureJoinUrl: string, { say, paint }: Voice): void {
  const [url = secureJoinUrl, ...others] = joinUrls(secureJoinUrl, lan.host);
  say("On a phone in the same network, scan this code or open the address below it:");
  for (const line of renderUnicodeCompact(url, { border: 1 }).split("\n")) say(paint.onBlack(line));
  for (const address of [url, ...others]) say(`  ${address}`);
  say("The phone warns once, because no authority knows this machine. Its certificate's SHA-256:");
  say(`  ${lan.fingerprint}`);
}
