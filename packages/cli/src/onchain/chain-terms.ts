// Whether the run on the chain is the run of the log: its hash, token, window, attestors, and whose
// registry its settlements count in. What an attestor asks before signing anything.
import type { Contracts } from "@manyhands/chain/settle/contracts";
import { attestorsHashOf } from "@manyhands/chain/settle/posting";
import { attestorsOf } from "@manyhands/chain/settle/settler";
import type { Pay } from "@manyhands/protocol/pay";
import { isAddressEqual } from "viem";

export type ClaimedPlace = { readonly onChainRunId: number; readonly sequence: number };

/** @returns what is not as the frozen run says; null if all is @throws ChainError, RefusedError */
export async function chainTermsProblem(
  contracts: Contracts,
  { runId, pay }: { readonly runId: string; readonly pay: Pay },
  { onChainRunId, sequence }: ClaimedPlace,
): Promise<string | null> {
  const place = `run ${onChainRunId} on the chain`;
  if (!isAddressEqual(await contracts.settlementsRegistry(), contracts.registry)) {
    return `the settlement contract ${contracts.settlement} asks another registry`;
  }
  const made = await contracts.made(onChainRunId);
  if (!made) return `the registry has made no run ${onChainRunId}`;
  if (made.configHash !== `0x${runId}`) return `${place} is another run, ${made.configHash}`;
  const { token, challengeWindow } = await contracts.run(onChainRunId);
  if (!isAddressEqual(token, contracts.token)) return `${place} pays in another token, ${token}`;
  if (challengeWindow !== BigInt(pay.challengeWindowSeconds)) {
    return `${place} has a challenge window of ${challengeWindow} s`;
  }
  const attestors = attestorsHashOf(attestorsOf(pay), pay.threshold);
  if ((await contracts.attestorsHash(onChainRunId)) !== attestors) {
    return `${place} has other attestors, or another threshold`;
  }
  const next = await contracts.nextSequence(onChainRunId);
  if (sequence <= next) return null;
  return `it is number ${sequence}, and the chain waits for number ${next}`;
}
