// The Merkle tree of a run's credits, as the Rewards contract checks it. Accounts are addresses.
// Not the log's credit root, which is by worker.
import { assert, defined } from "@manyhands/base/assert";
import { type Address, encodeAbiParameters, type Hex, hexToBigInt, keccak256 } from "viem";

export type Credit = {
  readonly account: Address;
  /** Since the run began, in the token's smallest unit. */
  readonly cumulative: bigint;
};

export type CreditClaim = Credit & { readonly proof: readonly Hex[] };

/** leaf = keccak256(keccak256(abi.encode(uint64 runId, address account, uint128 cumulative))) */
function leafOf(runId: bigint, { account, cumulative }: Credit): Hex {
  const types = [{ type: "uint64" }, { type: "address" }, { type: "uint128" }] as const;
  return keccak256(keccak256(encodeAbiParameters(types, [runId, account, cumulative])));
}

/** node = keccak256(the smaller child, the larger child) */
function nodeOf(a: Hex, b: Hex): Hex {
  const [first, second] = hexToBigInt(a) < hexToBigInt(b) ? [a, b] : [b, a];
  return keccak256(`${first}${second.slice(2)}`);
}

export class CreditTree {
  readonly root: Hex;
  readonly total: bigint;
  readonly credits: readonly Credit[];
  /** Leaves first, the root last. The odd one at a level's end goes up as it is. */
  readonly #levels: readonly (readonly Hex[])[];
  readonly #places: ReadonlyMap<string, number>;

  /** Credits in the order of their accounts, each account once, none of nothing. */
  constructor(runId: bigint, credits: readonly Credit[]) {
    assert(credits.length > 0, "a tree has a leaf");
    this.credits = credits.toSorted((a, b) => compare(a.account, b.account));
    for (const [i, { account, cumulative }] of this.credits.entries()) {
      assert(cumulative > 0n, "a credit is more than nothing");
      assert(this.credits[i + 1]?.account.toLowerCase() !== account.toLowerCase(), "one leaf each");
    }
    this.total = this.credits.reduce((sum, { cumulative }) => sum + cumulative, 0n);
    const levels = [this.credits.map((credit) => leafOf(runId, credit))];
    for (let level = defined(levels[0], "leaves"); level.length > 1; levels.push(level)) {
      level = above(level);
    }
    this.#levels = levels;
    this.#places = new Map(this.credits.map(({ account }, i) => [account.toLowerCase(), i]));
    this.root = defined(levels.at(-1)?.[0], "a root");
  }

  /** @returns undefined for an account without credit */
  claimOf(account: Address): CreditClaim | undefined {
    const place = this.#places.get(account.toLowerCase());
    const credit = place === undefined ? undefined : this.credits[place];
    if (place === undefined || !credit) return undefined;
    const proof: Hex[] = [];
    let index = place;
    for (const level of this.#levels) {
      const sibling = level[index ^ 1];
      if (sibling !== undefined) proof.push(sibling);
      index >>= 1;
    }
    return { ...credit, proof };
  }
}

function above(level: readonly Hex[]): Hex[] {
  const next: Hex[] = [];
  for (let i = 0; i < level.length; i += 2) {
    const [left, right] = [defined(level[i], "a node"), level[i + 1]];
    next.push(right === undefined ? left : nodeOf(left, right));
  }
  return next;
}

/** By number, as addresses are ordered on chain. */
export function compare(a: Address, b: Address): number {
  const [x, y] = [hexToBigInt(a), hexToBigInt(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}
