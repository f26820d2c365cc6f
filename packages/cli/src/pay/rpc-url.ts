// Where a chain answers, from a flag.
import { InvalidArgumentError } from "commander";

/** Where `manyhands chain` answers. */
export const LOCAL_PORT = 7_545;
export const LOCAL_RPC = `http://127.0.0.1:${LOCAL_PORT}`;

export function rpcUrl(text: string): string {
  if (text === "local") return LOCAL_RPC;
  const url = URL.parse(text);
  if (url && /^https?:$/.test(url.protocol)) return text;
  throw new InvalidArgumentError("Expected `local`, or an http(s) address of a chain's RPC.");
}
