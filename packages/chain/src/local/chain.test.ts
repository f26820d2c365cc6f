// The local chain by itself: order by nonce, restarts, what is refused, and a full disk.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import { encodeFunctionData, type Hex, keccak256, toHex } from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { artefact } from "../artefacts.ts";
import { LocalChain } from "./chain.ts";
import { deployContracts } from "./deploy.ts";
import { RpcError } from "./errors.ts";
import { answer } from "./rpc.ts";

const CHAIN_ID = 4_711;
const ada = privateKeyToAccount(keccak256(toHex("ada")));
const ben = privateKeyToAccount(keccak256(toHex("ben")));
const SINK: Hex = "0x00000000000000000000000000000000000051c4";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "manyhands-chain-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return join(path, "chain.sqlite");
}

type Clock = { seconds: number };

function open(path: string, clock: Clock = { seconds: 1_800_000_000 }): Promise<LocalChain> {
  return LocalChain.open({ path, chainId: CHAIN_ID, now: () => clock.seconds });
}

function transfer(
  from: PrivateKeyAccount,
  nonce: number,
  changes: { chainId?: number; gas?: bigint; value?: bigint; data?: Hex; to?: Hex } = {},
): Promise<Hex> {
  return from.signTransaction({
    type: "eip1559",
    chainId: CHAIN_ID,
    nonce,
    gas: 30_000n,
    maxFeePerGas: 0n,
    maxPriorityFeePerGas: 0n,
    to: SINK,
    ...changes,
  });
}

async function nonceOf(chain: LocalChain, who: PrivateKeyAccount): Promise<number> {
  return Number(await answer(chain, "eth_getTransactionCount", [who.address, "latest"]));
}

test("transactions that come in the wrong order run in the right one", async (t) => {
  const chain = await open(folder(t));
  t.after(() => chain.close());
  for (const nonce of [2, 1, 3]) await chain.send(await transfer(ada, nonce));
  const waiting = keccak256(await transfer(ada, 2));
  const shown = await answer(chain, "eth_getTransactionByHash", [waiting]);
  assert.equal((shown as { blockNumber: null }).blockNumber, null);
  assert.equal(await nonceOf(chain, ada), 0);
  assert.equal(await chain.pendingNonce(ada.address.toLowerCase() as Hex), 0n);
  await chain.send(await transfer(ada, 0));
  await chain.send(await transfer(ada, 4));
  assert.equal(await nonceOf(chain, ada), 5);
  assert.deepEqual(chain.store.waiting(), []);
});

test("what comes at once shares blocks, and each is there when its sender is told", async (t) => {
  const chain = await open(folder(t));
  t.after(() => chain.close());
  const raws: Hex[] = [];
  for (let nonce = 0; nonce < 20; nonce++) {
    raws.push(await transfer(ada, nonce), await transfer(ben, nonce));
  }
  await Promise.all(
    raws.map(async (raw) => {
      const hash = await chain.send(raw);
      assert.ok(chain.store.transaction(hash), "acknowledged, so it is in a block");
    }),
  );
  assert.equal(await nonceOf(chain, ada), 20);
  assert.equal(await nonceOf(chain, ben), 20);
  assert.ok(chain.head.number < 40n, `${chain.head.number} blocks`);
});

test("a restart keeps blocks, receipts, state, and what waits for its turn", async (t) => {
  const path = folder(t);
  const first = await open(path);
  const contracts = await deployContracts(first);
  const hash = await first.send(await transfer(ada, 0));
  await first.send(await transfer(ada, 2));
  const head = first.head;
  await first.close();

  const second = await open(path);
  assert.deepEqual(second.head, head);
  assert.deepEqual(await deployContracts(second), contracts, "nothing is deployed twice");
  assert.equal(second.head.number, head.number);
  assert.ok(await answer(second, "eth_getTransactionReceipt", [hash]));
  await second.send(await transfer(ada, 1));
  await second.close();

  const third = await open(path);
  t.after(() => third.close());
  assert.equal(await nonceOf(third, ada), 3, "what waited came after the one before it");
});

test("the same transaction again is the same transaction", async (t) => {
  const chain = await open(folder(t));
  t.after(() => chain.close());
  const raw = await transfer(ada, 0);
  const hash = await chain.send(raw);
  assert.equal(await chain.send(raw), hash);
  assert.equal(chain.head.number, 1n);
});

test("refused: what cannot be run, with a reason, and nothing is kept", async (t) => {
  const chain = await open(folder(t));
  t.after(() => chain.close());
  await chain.send(await transfer(ada, 0));
  const refused: readonly [string, Promise<Hex>, RegExp][] = [
    ["an old nonce", transfer(ada, 0, { gas: 40_000n }), /nonce too low/],
    ["another chain", transfer(ada, 1, { chainId: 1 }), /chain/i],
    ["too little gas", transfer(ada, 1, { gas: 20_999n }), /gas/],
    ["too much gas", transfer(ada, 1, { gas: 1n << 25n }), /gas limit 33554432 exceeds/],
    ["money that is not there", transfer(ada, 1, { value: 1n }), /balance|funds/],
    ["noise", Promise.resolve("0x02ff"), /cannot be read/],
  ];
  for (const [what, raw, why] of refused) {
    await assert.rejects(chain.send(await raw), (caught: unknown) => {
      assert.ok(caught instanceof RpcError, `${what}: ${caught}`);
      assert.match(caught.message, why, what);
      return true;
    });
  }
  assert.equal(await nonceOf(chain, ada), 1);
  assert.deepEqual(chain.store.waiting(), []);
  await chain.send(await transfer(ada, 1));
});

test("refused: another transaction with a nonce that already waits", async (t) => {
  const chain = await open(folder(t));
  t.after(() => chain.close());
  await chain.send(await transfer(ada, 3));
  await assert.rejects(chain.send(await transfer(ada, 3, { gas: 40_000n })), /in use/);
});

test("a block that cannot be written is as if it had never been tried", async (t) => {
  const chain = await open(folder(t));
  t.after(() => chain.close());
  await chain.send(await transfer(ada, 0));
  const write = chain.store.addBlock.bind(chain.store);
  t.mock.method(chain.store, "addBlock", () => {
    throw new Error("database or disk is full");
  });
  const raw = await transfer(ada, 1);
  await assert.rejects(chain.send(raw), /disk is full/);
  t.mock.method(chain.store, "addBlock", write);
  assert.equal(await nonceOf(chain, ada), 1);
  await chain.send(raw);
  assert.equal(await nonceOf(chain, ada), 2);
});

test("a failing call gives the contract's words; its gas is estimated as its sender's", async (t) => {
  const chain = await open(folder(t));
  t.after(() => chain.close());
  const { registry, dollar } = await deployContracts(chain);
  const { abi } = artefact("RunRegistry");
  const data = encodeFunctionData({ abi, functionName: "getRun", args: [7n] });
  await assert.rejects(answer(chain, "eth_call", [{ to: registry, data }, "latest"]), (caught) => {
    assert.ok(caught instanceof RpcError && caught.code === 3);
    assert.match(caught.data ?? "", /^0x[0-9a-f]{72}$/);
    return true;
  });
  const mint = encodeFunctionData({
    abi: artefact("TestDollar").abi,
    functionName: "mint",
    args: [ada.address, 5n],
  });
  const call = { from: ada.address, to: dollar, data: mint };
  const gas = BigInt(String(await answer(chain, "eth_estimateGas", [call])));
  const hash = await chain.send(await transfer(ada, 0, { to: dollar, data: mint, gas }));
  const receipt = await answer(chain, "eth_getTransactionReceipt", [hash]);
  const { status, gasUsed } = receipt as { status: Hex; gasUsed: Hex };
  assert.equal(status, "0x1");
  assert.ok(BigInt(gasUsed) <= gas);
});

test("old blocks can still be asked", async (t) => {
  const chain = await open(folder(t));
  t.after(() => chain.close());
  for (let nonce = 0; nonce < 3; nonce++) await chain.send(await transfer(ada, nonce));
  for (const [block, nonce] of [
    ["0x0", 0],
    ["0x2", 2],
    ["latest", 3],
  ] as const) {
    const found = await answer(chain, "eth_getTransactionCount", [ada.address, block]);
    assert.equal(Number(found), nonce, block);
  }
});

test("time never runs backwards", async (t) => {
  const clock = { seconds: 2_000_000_000 };
  const chain = await open(folder(t), clock);
  t.after(() => chain.close());
  clock.seconds -= 1_000;
  await chain.mine();
  assert.equal(chain.head.timestamp, 2_000_000_000n);
});

test("refused: another chain's file, and no database at all", async (t) => {
  const path = folder(t);
  await (await open(path)).close();
  const other = { path, chainId: 12, now: () => 1 };
  await assert.rejects(LocalChain.open(other), InputError);
  const text = join(import.meta.dirname, "chain.ts");
  await assert.rejects(LocalChain.open({ ...other, path: text }), InputError);
});

for (const [method, params, code] of [
  ["eth_mine", [], -32601],
  ["constructor", [], -32601],
  ["eth_getBalance", ["0x12"], -32602],
  ["eth_getBalance", [SINK, "0xffff"], -32602],
  ["eth_getTransactionByHash", [5], -32602],
  ["eth_call", ["what"], -32602],
  ["eth_getLogs", [{ fromBlock: "now" }], -32602],
  ["eth_sendRawTransaction", ["0x123"], -32602],
] as const) {
  test(`refused: ${method} ${JSON.stringify(params)}`, async (t) => {
    const chain = await open(folder(t));
    t.after(() => chain.close());
    await assert.rejects(answer(chain, method, params), (caught: unknown) => {
      assert.ok(caught instanceof RpcError, String(caught));
      assert.equal(caught.code, code, caught.message);
      return true;
    });
  });
}
