// The number that the registry gave a run, from the receipt of its making; and whether it is still
// that one after a reorganisation.
import { parseEventLogs } from "viem";
import { artefact } from "../artefacts.ts";
import type { Receipt } from "./client.ts";
import { ChainError } from "./errors.ts";

/** The purpose of the transaction that makes a run. */
export const CREATE = "create";

/** The run's number, from the receipt of its making. @throws ChainError if it is none */
export function createdRun({ logs }: Receipt): number {
  const { abi } = artefact("RunRegistry");
  const [created] = parseEventLogs({ abi, eventName: "RunCreated", logs: [...logs] });
  const args = created?.args as unknown as { readonly runId?: unknown } | undefined;
  const id = Number(args?.runId ?? 0n);
  if (Number.isSafeInteger(id) && id > 0) return id;
  throw new ChainError("the chain's RPC answers nonsense: a run was made, and has no number", {
    hint: "Use another RPC address of the same chain: the same command goes on.",
  });
}

/**
 * For what is sent again after a reorganisation: a run that has another number now is another
 * run's money from here on.
 */
export function checkCreated(known: number | null): (purpose: string, receipt: Receipt) => void {
  return (purpose, receipt) => {
    if (purpose !== CREATE || receipt.status !== "success" || known === null) return;
    const id = createdRun(receipt);
    if (id === known) return;
    const problem = `a reorganisation has given the run the number ${id}, it had ${known}`;
    throw new ChainError(`${problem}: nothing more is sent`, {
      hint:
        "Wait for more --confirmations next time. To begin the run's money anew under its new " +
        "number, remove settle.sqlite from the run's folder.",
    });
  };
}
