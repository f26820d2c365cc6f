// What the local chain refuses, by the numbers that wallets and libraries know (EIP-1474).
import { ManyhandsError } from "@manyhands/base/errors";

/** An answer of the RPC that is no result. */
export class RpcError extends ManyhandsError {
  override readonly name = "RpcError";
  readonly code: number;
  /** What a contract said when it reverted, as 0x… */
  readonly data: string | undefined;

  constructor(code: number, message: string, data?: string) {
    super(message, { hint: HINTS[code] ?? "look at the request" });
    this.code = code;
    this.data = data;
  }
}

export const INVALID_REQUEST = -32600;
export const UNKNOWN_METHOD = -32601;
export const INVALID_PARAMS = -32602;
export const INTERNAL = -32603;
/** The transaction was not taken. */
export const REFUSED = -32000;
export const REVERTED = 3;

const HINTS: Readonly<Record<number, string>> = {
  [UNKNOWN_METHOD]: "the local chain offers what contracts and wallets need, not all of Ethereum",
  [REFUSED]: "correct the transaction and sign it again",
  [REVERTED]: "the contract refuses the call",
};
