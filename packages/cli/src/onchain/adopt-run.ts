// A run that its owner's wallet has made in the registry: read from that transaction's receipt, and
// taken only if it is this run, with this run's terms. Not the making: that is the wallet's.
import { err, ok, type Result } from "@manyhands/base/result";
import { artefact } from "@manyhands/chain/artefacts";
import type { Receipt } from "@manyhands/chain/settle/client";
import { attestorsOf } from "@manyhands/chain/settle/settler";
import type { Pay } from "@manyhands/protocol/pay";
import { type Address, getAddress, type Hex, isAddressEqual, parseEventLogs } from "viem";

type Made = {
  readonly runId: bigint;
  readonly token: Address;
  readonly challengeWindow: bigint;
  readonly configHash: Hex;
};
type Attested = { readonly threshold: number; readonly attestors: readonly Address[] };

/** @returns the run's number in the registry, or why this is not it */
export function madeRun(receipt: Receipt, runId: string, pay: Pay): Result<number, string> {
  if (receipt.status !== "success") return err("the transaction failed: it made no run");
  const { abi } = artefact("RunRegistry");
  const registry = getAddress(`0x${pay.chain.registry}`);
  const logs = receipt.logs.filter(({ address }) => isAddressEqual(address, registry));
  const argsOf = (eventName: string): unknown => {
    const [found] = parseEventLogs({ abi, eventName, logs });
    return (found as { readonly args?: unknown } | undefined)?.args;
  };
  const made = argsOf("RunCreated") as Made | undefined;
  const attested = argsOf("AttestorsChanged") as Attested | undefined;
  if (!made || !attested) return err("the transaction made no run in this run's registry");
  if (made.configHash !== `0x${runId}`) return err("the transaction made another run");
  const isSame =
    isAddressEqual(made.token, getAddress(`0x${pay.chain.token}`)) &&
    made.challengeWindow === BigInt(pay.challengeWindowSeconds) &&
    attested.threshold === pay.threshold &&
    attested.attestors.join() === attestorsOf(pay).join();
  return isSame ? ok(Number(made.runId)) : err("it was made with other terms than this run's");
}
