// What attestors sign, and how signatures go on chain.
// Not who attests, and not what is true.

import {
  type Address,
  encodeAbiParameters,
  type Hex,
  keccak256,
  type LocalAccount,
  parseSignature,
  recoverTypedDataAddress,
  signatureToCompactSignature,
} from "viem";
import { compare } from "./credit-tree.ts";

/** As in Settlement.sol. */
export type Posting = {
  readonly runId: bigint;
  readonly sequence: bigint;
  readonly roundsRoot: Hex;
  readonly creditRoot: Hex;
  readonly total: bigint;
  readonly modelRoot: Hex;
  readonly evidence: Hex;
};

export type Endorsement = {
  readonly threshold: number;
  readonly attestors: readonly Address[];
  readonly signatures: readonly { readonly index: bigint; readonly r: Hex; readonly vs: Hex }[];
};

/** Where signatures count: on one chain, for one contract. */
export type SettlementDomain = { readonly chainId: number; readonly settlement: Address };

const POSTING_TYPES = {
  Posting: [
    { name: "runId", type: "uint64" },
    { name: "sequence", type: "uint64" },
    { name: "roundsRoot", type: "bytes32" },
    { name: "creditRoot", type: "bytes32" },
    { name: "total", type: "uint128" },
    { name: "modelRoot", type: "bytes32" },
    { name: "evidence", type: "bytes32" },
  ],
} as const;

/** EIP-712 of a posting, as wallets show it. */
function postingTypedData(posting: Posting, { chainId, settlement }: SettlementDomain) {
  return {
    domain: {
      name: "Manyhands Settlement",
      version: "1",
      chainId,
      verifyingContract: settlement,
    },
    types: POSTING_TYPES,
    primaryType: "Posting",
    message: posting,
  } as const;
}

export function signPosting(
  attestor: Pick<LocalAccount, "signTypedData">,
  posting: Posting,
  domain: SettlementDomain,
): Promise<Hex> {
  return attestor.signTypedData(postingTypedData(posting, domain));
}

const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const SIGNATURE = /^0x[0-9a-f]{64}([0-9a-f]{64})(?:1b|1c)$/;

/**
 * Who signed it; null if it is no signature, or not in its one form: r ‖ s ‖ v, lower case, s at
 * most n/2 (EIP-2), v 27 or 28. The contract refuses the twin with the larger s, and with it the
 * whole posting: so it must not be stored.
 *
 * @source docs/spec §9.3
 */
export async function recoverAttestor(
  posting: Posting,
  domain: SettlementDomain,
  signature: Hex,
): Promise<Address | null> {
  const [, s] = SIGNATURE.exec(signature) ?? [];
  if (s === undefined || BigInt(`0x${s}`) > HALF_ORDER) return null;
  try {
    return await recoverTypedDataAddress({ ...postingTypedData(posting, domain), signature });
  } catch {
    return null; // not a point of the curve
  }
}

/** Attestors as the registry wants them: ascending, each once. */
export function inOrder(attestors: readonly Address[]): readonly Address[] {
  return attestors.toSorted(compare);
}

/** As the registry stores them. */
export function attestorsHashOf(attestors: readonly Address[], threshold: number): Hex {
  const types = [{ type: "uint32" }, { type: "address[]" }] as const;
  return keccak256(encodeAbiParameters(types, [threshold, attestors]));
}

/** @param signatures by attestor; those of others are left out */
export function endorsementOf(
  attestors: readonly Address[],
  threshold: number,
  signatures: ReadonlyMap<Address, Hex>,
): Endorsement {
  const ordered = inOrder(attestors);
  const given = ordered.flatMap((attestor, index) => {
    const signature = signatures.get(attestor);
    if (!signature) return [];
    const { r, yParityAndS: vs } = signatureToCompactSignature(parseSignature(signature));
    return [{ index: BigInt(index), r, vs }];
  });
  return { threshold, attestors: ordered, signatures: given };
}
