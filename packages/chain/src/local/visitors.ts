// Who may ask the local chain over HTTP: programs and wallets of this machine, and pages that it
// serves itself. Not what they may ask: rpc.ts.
//
// Gas costs nothing here, so whoever may send can fill the disk; and what is on the chain is not
// every web page's business. A browser says by `Origin` which page asks. A page of somebody else's
// whose name was turned to this machine (DNS rebinding) gives its own name there, and in `Host`.
import { isIP } from "node:net";

export type Visitor = {
  /** As the headers have them. */
  readonly origin: string | undefined;
  readonly host: string | undefined;
};

const EXTENSION = /^(?:chrome|moz|safari-web)-extension:$/;

/**
 * Why the visitor is turned away; null if it is welcome.
 *
 * @param bound the address at which the chain listens
 */
export function unwelcome({ origin, host }: Visitor, bound: string): string | null {
  const asked = nameOf(`http://${host ?? ""}`);
  if (isThisMachine(bound) && !isThisMachine(asked)) {
    return `this chain is asked as 127.0.0.1 or localhost, not as ${host ?? "nothing"}`;
  }
  if (origin === undefined || EXTENSION.test(urlOf(origin)?.protocol ?? "")) return null;
  const page = nameOf(origin);
  if (isThisMachine(page)) return null;
  // Opened to a network on purpose: a page from there is welcome if no name is in between.
  if (page !== "" && page === asked && isIP(page.replace(/^\[|\]$/g, "")) !== 0) return null;
  return `pages of ${origin} may not ask this chain: only pages and wallets of this machine`;
}

function isThisMachine(name: string): boolean {
  return (
    ["localhost", "[::1]", "::1"].includes(name) ||
    name.endsWith(".localhost") ||
    (isIP(name) === 4 && name.startsWith("127."))
  );
}

function nameOf(address: string): string {
  return urlOf(address)?.hostname ?? "";
}

function urlOf(address: string): URL | null {
  return URL.parse(address);
}
