// Money that nobody has: what a desk would tell of a run that pays, for pictures and tests of the
// screens. No chain is behind it.
import { ok } from "@manyhands/base/result";
import type { PayStanding, SettlementDesk } from "@manyhands/coordinator/settlement-desk";
import type { Pay } from "@manyhands/protocol/pay";

/** Of the device that the screens are of. */
export const OWN_ACCOUNT = "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed";
const OWNER = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359";
const ATTESTORS = ["1".repeat(40), "2".repeat(40), "3".repeat(40)];

export const PRETEND_PAY: Pay = {
  chain: {
    chainId: 7_433_000,
    registry: "6b2ee7c0386590903d89b27011d502a9efabea7f",
    token: "8538ef4fa88e98bd5c6acfbdcee5ed73afbe69a4",
  },
  unitsPerMillionTokens: 7_000_000,
  shares: { trainingBps: 8_000, dataBps: 1_500, storageBps: 500 },
  dataAccount: "4".repeat(40),
  storageAccount: "5".repeat(40),
  settleEvery: 10,
  attestors: ATTESTORS,
  threshold: 2,
  challengeWindowSeconds: 3_600,
};

/** Tomorrow, so that pictures of two days are alike but for the date. */
const FINAL_AT = Date.UTC(2030, 0, 1, 12, 3) / 1_000;

const ON_CHAIN: NonNullable<PayStanding["onChain"]> = {
  runId: 12,
  owner: OWNER,
  funded: "250000000",
  paid: "3750000",
  settled: "6250000",
  isPaused: false,
  finishedAt: null,
  reclaimableAt: null,
  posted: { sequence: 5, round: 49, finalAt: FINAL_AT },
  waiting: null,
  final: { sequence: 4, round: 39 },
};

/** @param isFunded the run is on its chain, and somebody has paid in */
export function pretendDesk(isFunded: boolean): SettlementDesk {
  const standing: PayStanding = {
    token: { symbol: "tUSD", decimals: 6 },
    contracts: { registry: OWNER, settlement: OWNER, rewards: OWNER, token: OWNER },
    localRpc: "http://127.0.0.1:7545",
    onChain: isFunded ? ON_CHAIN : null,
  };
  const parts = { earned: "1246400", pending: "211000", final: "308200", paid: "612600" };
  const nothing = { earned: "0", pending: "0", final: "0", paid: "0" };
  return {
    list: () => [],
    bundle: () => null,
    sign: async () => ok(null),
    standing: async () => ok(standing),
    account: async (account) => {
      const isOwn = account === OWN_ACCOUNT;
      const claim = isOwn ? { cumulative: "920800", proof: [] } : null;
      return ok({ account: `0x${account}`, ...(isOwn ? parts : nothing), claim });
    },
    settle: async () => ok("Settlement 6 waits for 2 more attestors: `manyhands attest`."),
    adopt: async () => ok(12),
  };
}

/** The script of a wallet that only shows itself, on the chain of this number. */
export function pretendWallet(chainId: number): string {
  return `
    const icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'" +
      "%3E%3Ccircle cx='4' cy='4' r='4' fill='%23d97a2b'/%3E%3C/svg%3E";
    const info = { uuid: "1", name: "Fox wallet", icon, rdns: "example.fox" };
    const answers = {
      eth_requestAccounts: ["${OWNER}"],
      eth_accounts: ["${OWNER}"],
      eth_chainId: "0x${chainId.toString(16)}",
    };
    const provider = { request: async ({ method }) => answers[method] ?? null };
    const detail = { info, provider };
    const announce = () => dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
    addEventListener("eip6963:requestProvider", announce);
  `;
}
