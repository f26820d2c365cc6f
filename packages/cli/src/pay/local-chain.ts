// Where the contracts are on every local chain: `manyhands chain` deploys them in one order.
// Numbers instead of an import: the chain's machine is large, and workers come without it.
import type { Pay } from "@manyhands/protocol/pay";

/** Its test dollar has 6 decimals, no value, and anybody may mint it. */
export const LOCAL_CHAIN: Pay["chain"] = {
  chainId: 7_433_000,
  registry: "6b2ee7c0386590903d89b27011d502a9efabea7f",
  token: "8538ef4fa88e98bd5c6acfbdcee5ed73afbe69a4",
};
