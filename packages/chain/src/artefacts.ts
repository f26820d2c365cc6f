// The compiled contracts that are shipped. `npm run artefacts --prefix contracts` makes them.
// Not their sources: those are in contracts/.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Abi, Hex } from "viem";

export type ContractName =
  | "RunRegistry"
  | "Settlement"
  | "Rewards"
  | "Provenance"
  | "ModelShares"
  | "RevenueVault"
  | "TestDollar";

export type Artefact = { readonly abi: Abi; readonly bytecode: Hex };

const FOLDER = join(import.meta.dirname, "../artefacts");

export function artefact(name: ContractName): Artefact {
  return JSON.parse(readFileSync(join(FOLDER, `${name}.json`), "utf8")) as Artefact;
}
