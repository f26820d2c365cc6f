// A key file that is made if it is not there. Not how it is read: open-chain.ts.
import { existsSync, writeFileSync } from "node:fs";
import { InputError, messageOf } from "@manyhands/base/errors";
import type { Address } from "viem";
import { generatePrivateKey } from "viem/accounts";
import { readKey } from "./open-chain.ts";

export type OpenedKey = { readonly account: Address; readonly isNew: boolean };

/** @throws InputError for a file that holds something else, or cannot be written */
export async function openKey(path: string): Promise<OpenedKey> {
  const isNew = !existsSync(path);
  if (isNew) write(path);
  return { account: (await readKey(path)).address, isNew };
}

/** For nobody else to read, and never over another file. */
function write(path: string): void {
  try {
    writeFileSync(path, `${generatePrivateKey()}\n`, { mode: 0o600, flag: "wx" });
  } catch (cause) {
    throw new InputError(`${path} cannot be written: ${messageOf(cause)}`, { cause });
  }
}
