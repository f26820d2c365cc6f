// What can go wrong between a run and its chain: sentences with what to do. Not the local chain's
// own refusals (local/errors.ts).
import { ManyhandsError, messageOf } from "@manyhands/base/errors";
import { BaseError, ContractFunctionRevertedError } from "viem";
import { errorText } from "./words.ts";

/** The chain does not answer, or is another one than the run names. */
export class ChainError extends ManyhandsError {
  override readonly name = "ChainError";
}

/** A transaction that the contracts refuse, or would. */
export class RefusedError extends ManyhandsError {
  override readonly name = "RefusedError";
}

/** The settlements' journal cannot be used. */
export class JournalError extends ManyhandsError {
  override readonly name = "JournalError";
}

/** What to do about a refusal. */
export const STATUS_HINT = {
  hint: "`manyhands pay status` shows how the run stands on its chain.",
};

/** A refusal in the contract's own words; null if it is something else that went wrong. */
export function refusalOf(purpose: string, caught: unknown): RefusedError | null {
  if (!(caught instanceof BaseError)) return null;
  if (caught.walk(isPoor)) return poor(purpose, caught);
  const found = caught.walk((error) => error instanceof ContractFunctionRevertedError);
  if (!(found instanceof ContractFunctionRevertedError)) return null;
  const { data, reason } = found;
  const words = data ? errorText(data.errorName, data.args ?? []) : reason;
  return new RefusedError(`${purpose}: the contract refuses it: ${words ?? "it says no more"}`, {
    cause: caught,
    ...STATUS_HINT,
  });
}

/** The account has too little of what gas is paid in. */
export function isPoor(error: unknown): boolean {
  return (
    (error as Error).name === "InsufficientFundsError" ||
    /insufficient funds/i.test(messageOf(error))
  );
}

export function poor(purpose: string, cause: unknown): RefusedError {
  return new RefusedError(`${purpose}: the key's account cannot pay for the gas`, {
    cause,
    hint: "Send it some of the chain's own coin: gas is paid in that, not in the run's token.",
  });
}
