// Who may ask the local chain, and what visitors cannot do to it: break it, hold it up, fill it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { LocalChain } from "./chain.ts";
import { type ChainServer, serveChain } from "./server.ts";
import { unwelcome } from "./visitors.ts";

const LIMIT = { timeout: 30_000 };
const CHAIN_ID = 4_712;
/** JUMPDEST PUSH2 8000 PUSH0 LOG0 PUSH0 JUMP: a large log each time, to spend gas quickly. */
const FOR_EVER = "0x5b6180005fa05f56";

async function served(t: TestContext): Promise<ChainServer> {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-chain-"));
  const path = join(folder, "chain.sqlite");
  const chain = await LocalChain.open({ path, chainId: CHAIN_ID, now: () => 1_800_000_000 });
  const server = await serveChain(chain);
  t.after(async () => {
    await server.close();
    await chain.close();
    rmSync(folder, { recursive: true });
  });
  return server;
}

type Answer = { readonly status: number; readonly text: string; readonly allowed: unknown };

async function post(
  { url }: ChainServer,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const asked = request(url, { method: "POST", headers });
  asked.end(body);
  const [response] = await once(asked, "response");
  let text = "";
  for await (const piece of response) text += piece;
  return { status: response.statusCode, text, allowed: response.headers[ALLOWED] };
}

const ALLOWED = "access-control-allow-origin";
const call = (method: string, ...params: unknown[]): string =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });

test(
  "programs, wallets and pages of this machine may ask; other pages may not",
  LIMIT,
  async (t) => {
    const server = await served(t);
    const body = call("eth_chainId");
    assert.match((await post(server, body)).text, /"result":"0x1268"/);
    for (const origin of [
      "http://127.0.0.1:8080",
      "http://localhost:3000",
      "chrome-extension://a",
    ]) {
      const answer = await post(server, body, { origin });
      assert.deepEqual([answer.status, answer.allowed], [200, origin]);
    }
    const rebound = { host: "evil.example:7545", origin: "http://evil.example:7545" };
    for (const headers of [{ origin: "https://evil.example" }, { origin: "null" }, rebound]) {
      const answer = await post(server, body, headers);
      assert.deepEqual([answer.status, answer.allowed], [403, undefined]);
      assert.doesNotMatch(answer.text, /0x1268/);
    }
  },
);

test("who is welcome where", () => {
  const at = "127.0.0.1";
  assert.equal(unwelcome({ origin: undefined, host: "localhost:7545" }, at), null);
  assert.equal(unwelcome({ origin: "http://[::1]:80", host: "[::1]:7545" }, "::1"), null);
  assert.match(unwelcome({ origin: undefined, host: undefined }, at) ?? "", /as 127\.0\.0\.1/);
  const names = [
    "http://127.evil.example",
    "http://localhost.evil.example",
    "http://127.0.0.1@e.vil",
  ];
  for (const origin of names) {
    assert.match(unwelcome({ origin, host: "127.0.0.1:1" }, at) ?? "", /^pages of/);
  }
  const open = "0.0.0.0";
  const own = { origin: "http://192.168.7.2:8080", host: "192.168.7.2:7545" };
  assert.equal(unwelcome(own, open), null);
  assert.match(unwelcome({ ...own, origin: "http://192.168.7.3" }, open) ?? "", /^pages of/);
  const rebound = { origin: "http://evil.example", host: "evil.example" };
  assert.match(unwelcome(rebound, open) ?? "", /^pages of/);
});

test("requests that break off, or are nested without end, break nothing", LIMIT, async (t) => {
  const server = await served(t);
  const { port } = new URL(server.url);
  const socket = connect(Number(port), "127.0.0.1");
  socket.write("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{");
  await once(socket, "connect");
  // The next request goes the same way, so this one has arrived when that is answered.
  await post(server, call("eth_chainId"));
  socket.destroy();
  await once(socket, "close");
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  const asId = await post(server, `{"id":${deep},"method":"eth_chainId"}`);
  assert.match(asId.text, /an id is short, or a number/);
  const methods = ["eth_call", "eth_getLogs", "eth_getBlockByNumber", "eth_getBalance"];
  for (const method of methods) {
    const answer = await post(server, `{"id":1,"method":"${method}","params":[${deep}]}`);
    assert.match(answer.text, /"id":1,"error"/);
  }
  assert.equal((await post(server, deep)).status, 200);
  assert.match((await post(server, call("eth_chainId"))).text, /0x1268/);
});

test("a call without end ends, however much gas it asks for", LIMIT, async (t) => {
  const server = await served(t);
  const answer = await post(
    server,
    call("eth_call", { data: FOR_EVER, gas: "0xffffffffffffffff" }),
  );
  assert.match(answer.text, /out of gas/);
});

test("a transaction is not larger than elsewhere", LIMIT, async (t) => {
  const server = await served(t);
  const ada = privateKeyToAccount(keccak256(toHex("ada")));
  const content = { type: "eip1559", chainId: CHAIN_ID, nonce: 0, to: ada.address } as const;
  const fees = { gas: 16_000_000n, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
  const data = toHex(new Uint8Array(140_000));
  const raw = await ada.signTransaction({ ...content, ...fees, data });
  assert.match((await post(server, call("eth_sendRawTransaction", raw))).text, /131072 bytes/);
});
