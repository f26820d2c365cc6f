// The contracts on a local chain, once: later starts find them where they are.
// Not for other chains: there a person deploys, with their own key and gas.
import { defined } from "@manyhands/base/assert";
import {
  type Address,
  encodeDeployData,
  getContractAddress,
  type Hex,
  keccak256,
  toHex,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { artefact, type ContractName } from "../artefacts.ts";
import type { LocalChain } from "./chain.ts";
import { TRANSACTION_GAS_MAX } from "./machine.ts";

/** On a local chain everybody may know this key: it owns nothing, and gas costs nothing. */
const deployer = privateKeyToAccount(keccak256(toHex("manyhands local deployer")));

export type LocalContracts = {
  /** It makes the settlement and the rewards contracts, and knows where they are. */
  readonly registry: Address;
  readonly provenance: Address;
  /** A token of no value, of which anybody may make some. */
  readonly dollar: Address;
};

/** In this order, so that their addresses are the same on every local chain. */
export async function deployContracts(chain: LocalChain): Promise<LocalContracts> {
  const registry = await deploy(chain, 0n, "RunRegistry", []);
  const provenance = await deploy(chain, 1n, "Provenance", [registry]);
  const dollar = await deploy(chain, 2n, "TestDollar", []);
  return { registry, provenance, dollar };
}

async function deploy(
  chain: LocalChain,
  nonce: bigint,
  name: ContractName,
  args: readonly unknown[],
): Promise<Address> {
  const address = getContractAddress({ from: deployer.address, nonce });
  const lower = address.toLowerCase() as Hex;
  if ((await chain.machine.codeAt(lower)) !== "0x") return address;
  const { abi, bytecode } = artefact(name);
  const raw = await deployer.signTransaction({
    type: "eip1559",
    chainId: chain.chainId,
    nonce: Number(nonce),
    gas: TRANSACTION_GAS_MAX,
    maxFeePerGas: 0n,
    maxPriorityFeePerGas: 0n,
    data: encodeDeployData({ abi, bytecode, args }),
  });
  const hash = await chain.send(raw);
  const { receipt } = defined(chain.store.transaction(hash), "an accepted transaction");
  const { status } = JSON.parse(receipt) as { status: Hex };
  defined(status === "0x1" ? status : undefined, `${name} was deployed`);
  return address;
}
