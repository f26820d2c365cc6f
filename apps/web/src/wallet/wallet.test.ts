// What wallets are told and what they say: calls as a contract reads them, accounts, announcements.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromHex, toHex } from "@manyhands/base/bytes";
import { TEST_PAY } from "@manyhands/protocol/testing/fixtures";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { accountText, readAccount } from "./account.ts";
import * as calls from "./calls.ts";
import { announcedIn, askWallet } from "./provider.ts";

const A = "11".repeat(20);
const WORD = "ab".repeat(32);
const PROOF = ["cd", "ef"].map((byte) => `0x${byte.repeat(32)}`);
const PAY = {
  ...TEST_PAY,
  chain: { chainId: 7, registry: A, token: "22".repeat(20) },
  attestors: ["33".repeat(20), "44".repeat(20)],
};

/** keccak256 of what viem 2.57.1 encodes for the same calls, from the contracts' artefacts. */
const VECTORS: readonly (readonly [string, calls.Call, string])[] = [
  [
    "claim",
    calls.claimCall(A, 3, A, { cumulative: "123456789012345678901", proof: PROOF }),
    "ce4c9ad8a12285366c41d7e57b8ef3d2393811d6b655afbce6c59f8992c9763f",
  ],
  [
    "claim without a proof",
    calls.claimCall(A, 3, A, { cumulative: "1", proof: [] }),
    "3650e591dc2f901ae11b7910a5ccf151831d60a9f29680b407722ec05f20a665",
  ],
  [
    "approve",
    calls.approveCall(A, A, 5n),
    "746140bbd0896e654df2a34d72aa5cd83937fe501fe4cdcceeb8776bb35ff723",
  ],
  [
    "allowance",
    calls.allowanceCall(A, A, "22".repeat(20)),
    "e3a42d455701319716452099e2738a8085f67f27bfbff41c5cc1638b50495a32",
  ],
  [
    "mint",
    calls.mintCall(A, A, 5n),
    "824920d1f96f7d9b2f279309e704af00fb2755d655fc12aa9f57d204fcfbb5af",
  ],
  [
    "balanceOf",
    calls.balanceCall(A, A),
    "96535ba973393fcedfdc5d0638bfcd0c24fd8316235a17e2a59e9e3a311587b4",
  ],
  [
    "fund",
    calls.fundCall(A, 9, 7n),
    "5cb45114be72fd41760d96e8337a6f08b78a610862bc1fa3cd7fad526db9fe23",
  ],
  [
    "finish",
    calls.finishCall(A, 9, WORD),
    "4e3fd428867bbf4f58a0b35e9803d73548e8a63f65c262f9d705fdd0a02eaa4b",
  ],
  [
    "reclaimUnspent",
    calls.reclaimCall(A, 9),
    "4ac9bf7074b164f6b80f745f9579b1279e5e628ab65f43346ec1819bc343c092",
  ],
  [
    "createRun",
    calls.createRunCall(A, WORD, PAY),
    "44ab9fd5b5b613e33b4d8b1b1b98edaa4f60f157290092b74e6f3b44b99f36a5",
  ],
];

for (const [name, { data }, expected] of VECTORS) {
  test(`${name} is encoded as the contract reads it`, () => {
    assert.equal(toHex(keccak_256(fromHex(data.slice(2)))), expected);
  });
}

/** From EIP-55. */
const CHECKSUMMED = [
  "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
  "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
  "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
  "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
];

test("an account has its checksum, and a wrong one is a wrong digit", () => {
  for (const text of CHECKSUMMED) {
    const hex = text.slice(2).toLowerCase();
    assert.equal(accountText(hex), text);
    for (const given of [text, ` ${text}\n`, `0x${hex}`, `0x${hex.toUpperCase()}`]) {
      assert.deepEqual(readAccount(given), { ok: true, value: hex });
    }
    const wrong = text.replace(/[a-f](?=[^a-f]*$)/, (digit) => digit.toUpperCase());
    assert.deepEqual(readAccount(wrong), { ok: false, error: "checksum" });
  }
  for (const text of ["", "0x12", "vitalik.eth", CHECKSUMMED[0]?.slice(2) ?? "", `0x${WORD}`]) {
    assert.deepEqual(readAccount(text), { ok: false, error: "form" });
  }
  assert.deepEqual(readAccount(`0x${"0".repeat(40)}`), { ok: false, error: "nobody" });
});

test("an announcement is taken as it should be, and nonsense is none", () => {
  const provider = { request: async () => null };
  const info = {
    uuid: "1",
    name: "Test\u202e\u0000 wallet",
    rdns: "org.test",
    icon: "data:image/x",
  };
  const wallet = announcedIn({ info, provider });
  assert.equal(wallet?.name, "Test wallet");
  assert.equal(wallet?.icon, "data:image/x");
  for (const icon of ["https://elsewhere/x.png", "javascript:1", 7, "data:text/html,x"]) {
    assert.equal(announcedIn({ info: { ...info, icon }, provider })?.icon, null);
  }
  assert.equal(announcedIn({ info: { ...info, name: " " }, provider })?.name, "org.test");
  for (const detail of [null, 7, {}, { info }, { info: {}, provider }, { info, provider: {} }]) {
    assert.equal(announcedIn(detail), null);
  }
});

test("a wallet's refusals are told apart, however they are wrapped", async () => {
  const kindOf = async (thrown: unknown): Promise<string> => {
    const answer = await askWallet({ request: () => Promise.reject(thrown) }, "x");
    return answer.ok ? "ok" : answer.error.kind;
  };
  assert.equal(await kindOf({ code: 4001, message: "no" }), "rejected");
  assert.equal(await kindOf({ code: -32002 }), "busy");
  assert.equal(
    await kindOf({ code: -32603, data: { originalError: { code: 4902 } } }),
    "unknown-chain",
  );
  for (const thrown of [undefined, "words", { code: "4001x" }, { message: 7 }]) {
    assert.equal(await kindOf(thrown), "failed");
  }
});
