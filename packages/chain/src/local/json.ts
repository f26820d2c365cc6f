// Blocks, transactions, receipts and logs in the form in which the RPC gives them.
// It deliberately computes nothing: what is there is written down.
import type { BlockHeader } from "@ethereumjs/block";
import type { TypedTransaction } from "@ethereumjs/tx";
import { bytesToHex } from "@ethereumjs/util";
import type { RunTxResult } from "@ethereumjs/vm";
import type { Hex } from "./machine.ts";
import type { BlockRows } from "./store.ts";

/** A number as the RPC writes it: 0x, no leading zeros. */
export function quantity(value: bigint | number): Hex {
  return `0x${value.toString(16)}`;
}

const NO_UNCLES = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347";

/** Without its transactions: they are rows of their own. */
export function blockJson(header: BlockHeader) {
  return {
    number: quantity(header.number),
    hash: bytesToHex(header.hash()),
    parentHash: bytesToHex(header.parentHash),
    nonce: bytesToHex(header.nonce),
    sha3Uncles: NO_UNCLES,
    logsBloom: bytesToHex(header.logsBloom),
    transactionsRoot: bytesToHex(header.transactionsTrie),
    stateRoot: bytesToHex(header.stateRoot),
    receiptsRoot: bytesToHex(header.receiptTrie),
    miner: header.coinbase.toString(),
    difficulty: "0x0",
    totalDifficulty: "0x0",
    extraData: "0x",
    size: "0x0",
    gasLimit: quantity(header.gasLimit),
    gasUsed: quantity(header.gasUsed),
    baseFeePerGas: "0x0",
    timestamp: quantity(header.timestamp),
    mixHash: bytesToHex(header.mixHash),
    uncles: [],
    withdrawals: [],
  };
}

export type Done = {
  readonly tx: TypedTransaction;
  readonly hash: Hex;
  readonly sender: Hex;
  readonly result: RunTxResult;
};

type Place = { readonly number: bigint; readonly hash: Hex; readonly timestamp: bigint };

export function transactionRows(
  block: Place,
  done: readonly Done[],
): Pick<BlockRows, "transactions" | "logs"> {
  const transactions: BlockRows["transactions"][number][] = [];
  const logs: BlockRows["logs"][number][] = [];
  let cumulative = 0n;
  for (const [index, one] of done.entries()) {
    cumulative += one.result.totalGasSpent;
    const place = {
      transactionHash: one.hash,
      transactionIndex: quantity(index),
      blockHash: block.hash,
      blockNumber: quantity(block.number),
    };
    const own = one.result.receipt.logs.map(([address, topics, data], offset) => ({
      address: bytesToHex(address),
      topics: topics.map((topic) => bytesToHex(topic)),
      data: bytesToHex(data),
      ...place,
      blockTimestamp: quantity(block.timestamp),
      logIndex: quantity(logs.length + offset),
      removed: false,
    }));
    for (const log of own) {
      logs.push({ address: log.address, topic0: log.topics[0], body: JSON.stringify(log) });
    }
    transactions.push({
      hash: one.hash,
      body: JSON.stringify(transactionJson(one, place)),
      receipt: JSON.stringify({ ...receiptJson(one, cumulative), ...place, logs: own }),
    });
  }
  return { transactions, logs };
}

type Sent = Pick<Done, "tx" | "hash" | "sender">;

/** A transaction that is in no block yet. */
export function waitingJson(sent: Sent) {
  const { hash: transactionHash } = sent;
  const nowhere = { blockHash: null, blockNumber: null, transactionIndex: null };
  return transactionJson(sent, { transactionHash, ...nowhere });
}

function transactionJson({ tx, sender }: Sent, place: Record<string, string | null>) {
  const { hash: _, ...fields } = { hash: "", ...tx.toJSON() };
  return {
    ...fields,
    hash: place["transactionHash"],
    blockHash: place["blockHash"],
    blockNumber: place["blockNumber"],
    transactionIndex: place["transactionIndex"],
    type: quantity(tx.type),
    from: sender,
    to: tx.to?.toString() ?? null,
    nonce: quantity(tx.nonce),
    gas: quantity(tx.gasLimit),
    gasPrice: "0x0",
    value: quantity(tx.value),
    input: bytesToHex(tx.data),
    chainId: quantity(tx.common.chainId()),
  };
}

function receiptJson({ tx, sender, result }: Done, cumulative: bigint) {
  return {
    type: quantity(tx.type),
    status: result.execResult.exceptionError ? "0x0" : "0x1",
    from: sender,
    to: tx.to?.toString() ?? null,
    contractAddress: result.createdAddress?.toString() ?? null,
    cumulativeGasUsed: quantity(cumulative),
    gasUsed: quantity(result.totalGasSpent),
    effectiveGasPrice: "0x0",
    logsBloom: bytesToHex(result.bloom.bitvector),
  };
}
