// The part of Ethereum's JSON-RPC (EIP-1474) that contracts, viem and wallets need, over the local
// chain. Not HTTP: that is server.ts. What is not here is answered with -32601, as wallets expect.
import { hexToBytes } from "@ethereumjs/util";
import type { LocalChain } from "./chain.ts";
import { INVALID_PARAMS, RpcError, UNKNOWN_METHOD } from "./errors.ts";
import { quantity } from "./json.ts";
import type { CallRequest, Hex, Moment } from "./machine.ts";
import { isRecord } from "./shape.ts";

type Method = (chain: LocalChain, params: readonly unknown[]) => unknown;

const LOGS_MAX = 10_000;
const HEX = /^0x[0-9a-f]*$/i;

const METHODS: Readonly<Record<string, Method>> = {
  web3_clientVersion: () => "manyhands-local/0.1.0",
  net_version: (chain) => String(chain.chainId),
  net_listening: () => true,
  eth_chainId: (chain) => quantity(chain.chainId),
  eth_syncing: () => false,
  eth_accounts: () => [],
  eth_blockNumber: (chain) => quantity(chain.head.number),
  // Gas costs nothing: there is one operator, who limits who may send by other means.
  eth_gasPrice: () => "0x0",
  eth_maxPriorityFeePerGas: () => "0x0",
  eth_feeHistory: feeHistory,
  eth_getBalance: async (chain, [address, at]) =>
    quantity(await chain.machine.balanceOf(addressOf(address), momentOf(chain, at))),
  eth_getCode: (chain, [address, at]) =>
    chain.machine.codeAt(addressOf(address), momentOf(chain, at)),
  eth_getStorageAt: (chain, [address, slot, at]) =>
    chain.machine.storageAt(addressOf(address), numberOf(slot), momentOf(chain, at)),
  eth_getTransactionCount: transactionCount,
  eth_call: (chain, [request, at]) => chain.machine.call(callOf(request), momentOf(chain, at)),
  eth_estimateGas: async (chain, [request, at]) =>
    quantity(await chain.machine.estimateGas(callOf(request), momentOf(chain, at))),
  eth_sendRawTransaction: (chain, [raw]) => chain.send(dataOf(raw)),
  eth_getTransactionByHash: (chain, [given]) => {
    const hash = hashOf(given);
    return parsed(chain.store.transaction(hash)?.body) ?? chain.waitingTransaction(hash);
  },
  eth_getTransactionReceipt: (chain, [hash]) =>
    parsed(chain.store.transaction(hashOf(hash))?.receipt),
  eth_getBlockByNumber: (chain, [which, whole]) => {
    const number = blockNumberOf(chain, which);
    return blockOf(chain, number, chain.store.block(Number(number))?.body, whole === true);
  },
  eth_getBlockByHash: (chain, [hash, whole]) => {
    const found = chain.store.blockByHash(hashOf(hash));
    return blockOf(chain, BigInt(found?.number ?? 0), found?.body, whole === true);
  },
  eth_getLogs: logs,
};

/** @throws RpcError for whatever is not a result */
export async function answer(
  chain: LocalChain,
  method: string,
  params: readonly unknown[],
): Promise<unknown> {
  const run = Object.hasOwn(METHODS, method) ? METHODS[method] : undefined;
  if (!run) throw new RpcError(UNKNOWN_METHOD, `the method ${method} is not supported`);
  return await run(chain, params);
}

function feeHistory(chain: LocalChain, [count, newest]: readonly unknown[]) {
  const last = blockNumberOf(chain, newest);
  const blocks = [0n, numberOf(count), 1_024n, last + 1n].toSorted((a, b) => (a < b ? -1 : 1));
  const length = Number(blocks[1] ?? 0n);
  return {
    oldestBlock: quantity(last + 1n - BigInt(length)),
    baseFeePerGas: Array<string>(length + 1).fill("0x0"),
    gasUsedRatio: Array<number>(length).fill(0),
  };
}

async function transactionCount(chain: LocalChain, [who, at]: readonly unknown[]): Promise<Hex> {
  const address = addressOf(who);
  if (at === "pending") return quantity(await chain.pendingNonce(address));
  return quantity(await chain.machine.nonceOf(address, momentOf(chain, at)));
}

function blockOf(chain: LocalChain, number: bigint, body: string | undefined, whole: boolean) {
  if (body === undefined) return null;
  const rows = chain.store.transactionsOf(Number(number));
  const transactions = rows.map((row) => (whole ? parsed(row.body) : row.hash));
  return { ...(JSON.parse(body) as Record<string, unknown>), transactions };
}

function logs(chain: LocalChain, [filter]: readonly unknown[]): readonly unknown[] {
  if (!isRecord(filter)) throw invalid("a filter");
  let from = blockNumberOf(chain, filter["fromBlock"]);
  let to = blockNumberOf(chain, filter["toBlock"]);
  if (filter["blockHash"] !== undefined) {
    const found = chain.store.blockByHash(hashOf(filter["blockHash"]));
    if (!found) throw new RpcError(INVALID_PARAMS, "unknown block");
    from = BigInt(found.number);
    to = from;
  }
  const topics = listOf(filter["topics"]).map((topic) => listOf(topic).map(hashOf));
  const rows = chain.store.logs({
    from: Number(from),
    to: Number(to),
    addresses: listOf(filter["address"]).map(addressOf),
    topic0: topics[0] ?? [],
    limit: LOGS_MAX + 1,
  });
  if (rows.length > LOGS_MAX) {
    throw new RpcError(INVALID_PARAMS, `more than ${LOGS_MAX} logs: ask for fewer blocks`);
  }
  const found = rows.map((row) => JSON.parse(row) as { topics: readonly string[] });
  return found.filter((log) =>
    topics.every((wanted, i) => {
      const topic = log.topics[i];
      return wanted.length === 0 || (topic !== undefined && wanted.includes(topic as Hex));
    }),
  );
}

/** One, several, or none: null and undefined are none. */
function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

function parsed(body: string | undefined): unknown {
  return body === undefined ? null : JSON.parse(body);
}

function callOf(request: unknown): CallRequest {
  if (!isRecord(request)) throw invalid("a call");
  const { from, to, data, input, value, gas } = request;
  const optional = <T>(given: unknown, read: (given: unknown) => T): T | undefined =>
    given === undefined || given === null ? undefined : read(given);
  return {
    from: optional(from, addressOf),
    to: optional(to, addressOf),
    data: optional(input ?? data, dataOf),
    value: optional(value, numberOf),
    gas: optional(gas, numberOf),
  };
}

function momentOf(chain: LocalChain, at: unknown): Moment {
  if (at === undefined || at === null || at === "latest" || at === "pending") {
    return chain.pendingMoment();
  }
  const moment = chain.momentOf(blockNumberOf(chain, at));
  if (!moment) throw new RpcError(INVALID_PARAMS, "unknown block");
  return moment;
}

function blockNumberOf(chain: LocalChain, at: unknown): bigint {
  if (isRecord(at) && at["blockNumber"] !== undefined) return numberOf(at["blockNumber"]);
  if (isRecord(at) && at["blockHash"] !== undefined) {
    const found = chain.store.blockByHash(hashOf(at["blockHash"]));
    if (!found) throw new RpcError(INVALID_PARAMS, "unknown block");
    return BigInt(found.number);
  }
  if (at === "earliest") return 0n;
  const isNewest = ["latest", "pending", "safe", "finalized"].includes(String(at));
  return at === undefined || at === null || isNewest ? chain.head.number : numberOf(at);
}

function invalid(what: string): RpcError {
  return new RpcError(INVALID_PARAMS, `expected ${what}`);
}

function dataOf(value: unknown): Hex {
  if (typeof value !== "string" || !HEX.test(value) || value.length % 2 !== 0) {
    throw invalid("bytes as 0x…");
  }
  return value.toLowerCase() as Hex;
}

function ofLength(value: unknown, bytes: number, what: string): Hex {
  const data = dataOf(value);
  if (hexToBytes(data).length !== bytes) throw invalid(what);
  return data;
}

const addressOf = (value: unknown): Hex => ofLength(value, 20, "an address of 20 bytes");
const hashOf = (value: unknown): Hex => ofLength(value, 32, "a hash of 32 bytes");

function numberOf(value: unknown): bigint {
  if (typeof value !== "string" || !/^0x[0-9a-f]{1,64}$/i.test(value))
    throw invalid("a number as 0x…");
  return BigInt(value);
}
