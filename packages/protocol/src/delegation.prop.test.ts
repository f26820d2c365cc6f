// Whoever signs what, and whatever is bent afterwards: only the very bytes count.
import assert from "node:assert/strict";
import test from "node:test";
import { fromHex, toHex } from "@manyhands/base/bytes";
import fc from "fast-check";
import type { Delegation } from "./delegation.ts";
import { delegationProblem } from "./delegation-check.ts";
import { TestWallet } from "./testing/wallet.ts";

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((array) => toHex(array));
const signed = fc.record({
  wallet: fc.constantFrom("ada", "bob", "cleo").map((name) => new TestWallet(name)),
  chainId: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  registry: hex(20),
  device: hex(32),
  run: hex(32),
});
type Signed = typeof signed extends fc.Arbitrary<infer T> ? T : never;

function delegated({ wallet, chainId, registry, device, run }: Signed) {
  const { account, delegation: signature } = wallet.delegate({
    chain: { chainId, registry },
    device,
    run,
  });
  const delegation: Delegation = { chain: { chainId, registry }, account, device, run };
  return { delegation, signature };
}

function flipped(text: string, bit: number): string {
  const bytes = fromHex(text);
  const at = Math.floor(bit / 8) % bytes.length;
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit % 8));
  return toHex(bytes);
}

test("what a wallet signed is good", () => {
  fc.assert(
    fc.property(signed, (one) => {
      const { delegation, signature } = delegated(one);
      assert.equal(delegationProblem(delegation, signature), null);
    }),
    { numRuns: 50 },
  );
});

test("any bit of the signature, or of what it is about, may not be another", () => {
  const parts = ["signature", "account", "device", "run", "registry"] as const;
  fc.assert(
    fc.property(signed, fc.constantFrom(...parts), fc.nat(65 * 8 - 1), (one, part, bit) => {
      const { delegation, signature } = delegated(one);
      const { chain } = delegation;
      const change = (text: string, name: (typeof parts)[number]): string =>
        part === name ? flipped(text, bit) : text;
      const bent: Delegation = {
        chain: { ...chain, registry: change(chain.registry, "registry") },
        account: change(delegation.account, "account"),
        device: change(delegation.device, "device"),
        run: change(delegation.run, "run"),
      };
      assert.notEqual(delegationProblem(bent, change(signature, "signature")), null);
    }),
    { numRuns: 100 },
  );
});

test("any 65 bytes are refused with a sentence, never with an exception", () => {
  fc.assert(
    fc.property(signed, hex(64), fc.constantFrom("00", "1b", "1c", "ff"), (one, rs, v) => {
      assert.equal(typeof delegationProblem(delegated(one).delegation, rs + v), "string");
    }),
    { numRuns: 100 },
  );
});
