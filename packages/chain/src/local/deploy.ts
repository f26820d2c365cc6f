// The contracts on a local chain, once: later starts find them where they are.
// Not for other chains: there a person deploys, with their own key and gas.
import { assert, defined } from "@manyhands/base/assert";
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

/** A contract's making: a transaction that is the same on every chain of this number. */
export type Deployment = {
  readonly name: keyof LocalContracts;
  readonly address: Address;
  readonly raw: Hex;
};

/** In this order, so that their addresses are the same on every local chain. */
export async function deploymentsOn(chainId: number): Promise<readonly Deployment[]> {
  const registry = getContractAddress({ from: deployer.address, nonce: 0n });
  const made = async (
    name: keyof LocalContracts,
    nonce: number,
    contract: ContractName,
    args: readonly unknown[] = [],
  ): Promise<Deployment> => {
    const { abi, bytecode } = artefact(contract);
    const raw = await deployer.signTransaction({
      ...{ type: "eip1559", chainId, nonce, gas: TRANSACTION_GAS_MAX },
      ...{ maxFeePerGas: 0n, maxPriorityFeePerGas: 0n },
      data: encodeDeployData({ abi, bytecode, args }),
    });
    const from = deployer.address;
    return { name, address: getContractAddress({ from, nonce: BigInt(nonce) }), raw };
  };
  return [
    await made("registry", 0, "RunRegistry"),
    await made("provenance", 1, "Provenance", [registry]),
    await made("dollar", 2, "TestDollar"),
  ];
}

/** Those that are not there yet are made now. */
export async function deployContracts(chain: LocalChain): Promise<LocalContracts> {
  const addresses = new Map<string, Address>();
  for (const { name, address, raw } of await deploymentsOn(chain.chainId)) {
    addresses.set(name, address);
    const lower = address.toLowerCase() as Hex;
    if ((await chain.machine.codeAt(lower)) !== "0x") continue;
    const { receipt } = defined(
      chain.store.transaction(await chain.send(raw)),
      "an accepted transaction",
    );
    const { status } = JSON.parse(receipt) as { status: Hex };
    assert(status === "0x1", `${name} was deployed`);
  }
  const at = (name: keyof LocalContracts): Address => defined(addresses.get(name), name);
  return { registry: at("registry"), provenance: at("provenance"), dollar: at("dollar") };
}
