// What `manyhands pay delegate` does: a wallet's key signs that a device works for its account.
// No chain is asked, and no gas: the signature goes into the run's log with the device's join.
import { homedir } from "node:os";
import { join } from "node:path";
import { InputError } from "@manyhands/base/errors";
import { ByteMeter } from "@manyhands/net/byte-meter";
import { meteredAgents } from "@manyhands/net/node/agents";
import { nodeHttp } from "@manyhands/net/node/http-client";
import { delegationHex, delegationTypedData } from "@manyhands/protocol/delegation";
import type { Pay } from "@manyhands/protocol/pay";
import { fetchRun } from "@manyhands/worker/host/fetch-run";
import { type JoinUrl, parseJoinUrl } from "@manyhands/worker/host/join-url";
import { deviceIdentity } from "@manyhands/worker/node/identity";
import { keptPayout } from "@manyhands/worker/node/payout";
import { accountHex } from "../pay/account.ts";
import { CommandError } from "../terminal/failure.ts";
import { readKey } from "./open-chain.ts";

export type DelegateFlags = {
  readonly key?: string;
  readonly folder?: string;
  /** Another device's id: then its folder is elsewhere. */
  readonly device?: string;
};

export type Delegated = {
  readonly account: string;
  readonly device: string;
  readonly run: string;
  /** 0x…, 65 bytes. */
  readonly delegation: string;
  /** Where it was kept; null if the device is elsewhere. */
  readonly folder: string | null;
};

/** @throws InputError for a run that pays nothing, CommandError if nobody answers */
export async function delegateTo(url: string, flags: DelegateFlags): Promise<Delegated> {
  const target = parseJoinUrl(url);
  const wallet = await readKey(flags.key);
  const { chain } = await termsOf(target);
  const folder = flags.device ? null : (flags.folder ?? join(homedir(), ".manyhands"));
  const device = flags.device ?? (await deviceIdentity(folder ?? "")).workerId;
  const [account, run] = [accountHex(wallet.address), target.runId];
  const typed = delegationTypedData({ chain, account, device, run });
  const { Delegation } = typed.types;
  const delegation = await wallet.signTypedData({ ...typed, types: { Delegation } });
  if (folder !== null) {
    await keptPayout(folder, run, { account, delegation: delegationHex(delegation) });
  }
  return { account: wallet.address, device, run, delegation, folder };
}

async function termsOf(target: JoinUrl): Promise<Pay> {
  const agents = meteredAgents(new ByteMeter());
  const found = await fetchRun(target, nodeHttp({ agents }));
  agents.close();
  if (!found.ok) {
    const { message, hint } = found.error;
    throw new CommandError(message, hint === null ? {} : { hint });
  }
  const { pay, name } = found.value;
  if (pay) return pay;
  throw new InputError(`${name} pays nothing: its run file has no \`pay\``, {
    hint: "Its devices only count what they give; nothing has to be signed.",
  });
}
