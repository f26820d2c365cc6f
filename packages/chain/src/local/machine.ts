// The EVM over the stored state: runs transactions for blocks, and calls that leave no trace.
// No blocks, no queue, no SQLite: those are chain.ts and store.ts.
import { type Block, createBlock } from "@ethereumjs/block";
import { type Common, createCustomCommon, Hardfork, Mainnet } from "@ethereumjs/common";
import { createMPT } from "@ethereumjs/mpt";
import { Caches, MerkleStateManager } from "@ethereumjs/statemanager";
import { createFeeMarket1559Tx, type TypedTransaction } from "@ethereumjs/tx";
import {
  bytesToHex,
  createAddressFromString,
  createZeroAddress,
  type DB,
  hexToBytes,
  type PrefixedHexString,
} from "@ethereumjs/util";
import { createVM, type RunTxResult, runTx, type VM } from "@ethereumjs/vm";
import { REFUSED, REVERTED, RpcError } from "./errors.ts";

/** As on Ethereum since Fusaka: a transaction may take 2^24 gas at most (EIP-7825). */
export const TRANSACTION_GAS_MAX = 1n << 24n;
export const BLOCK_GAS_MAX = 60_000_000n;

export type Hex = PrefixedHexString;

/** What eth_call and eth_estimateGas are asked. */
export type CallRequest = {
  readonly from?: Hex | undefined;
  readonly to?: Hex | undefined;
  readonly data?: Hex | undefined;
  readonly value?: bigint | undefined;
  readonly gas?: bigint | undefined;
};

export type Moment = {
  readonly number: bigint;
  readonly timestamp: bigint;
  readonly stateRoot: Hex;
};

export function chainRules(chainId: number): Common {
  const rules = { name: "manyhands-local", chainId };
  return createCustomCommon(rules, Mainnet, { hardfork: Hardfork.Osaka });
}

export class Machine {
  readonly common: Common;
  readonly #nodes: DB<string, string>;
  readonly #hashOf: (block: number) => Uint8Array;
  readonly #state: MerkleStateManager;
  readonly #vm: VM;

  private constructor(parts: Parts) {
    this.common = parts.common;
    this.#nodes = parts.nodes;
    this.#hashOf = parts.hashOf;
    this.#state = parts.state;
    this.#vm = parts.vm;
  }

  static async open(options: MachineOptions): Promise<Machine> {
    const { state, vm } = await stateAt(options);
    return new Machine({ ...options, state, vm });
  }

  async stateRoot(): Promise<Hex> {
    return bytesToHex(await this.#state.getStateRoot());
  }

  /** Back to another root, as if what came after had not been run. */
  async goTo(root: Hex): Promise<void> {
    await this.#state.setStateRoot(hexToBytes(root), true);
  }

  /** Runs a transaction for good. @throws RpcError if it cannot be in a block at all */
  async run(tx: TypedTransaction, block: Block, gasBefore: bigint): Promise<RunTxResult> {
    try {
      return await runTx(this.#vm, { tx, block, blockGasUsed: gasBefore });
    } catch (caught) {
      throw refusal(caught);
    }
  }

  async nonceOf(address: Hex, at?: Moment): Promise<bigint> {
    return (await this.#account(address, at))?.nonce ?? 0n;
  }

  async balanceOf(address: Hex, at?: Moment): Promise<bigint> {
    return (await this.#account(address, at))?.balance ?? 0n;
  }

  async codeAt(address: Hex, at?: Moment): Promise<Hex> {
    const state = at ? (await this.#at(at)).state : this.#state;
    return bytesToHex(await state.getCode(createAddressFromString(address)));
  }

  async storageAt(address: Hex, slot: bigint, at: Moment): Promise<Hex> {
    const { state } = await this.#at(at);
    const key = hexToBytes(`0x${slot.toString(16).padStart(64, "0")}`);
    const value = await state.getStorage(createAddressFromString(address), key);
    return `0x${bytesToHex(value).slice(2).padStart(64, "0")}`;
  }

  /** @throws RpcError with the contract's own words if it reverts */
  async call(request: CallRequest, at: Moment): Promise<Hex> {
    const { vm } = await this.#at(at);
    const { execResult } = await vm.evm.runCall({
      caller: request.from ? createAddressFromString(request.from) : createZeroAddress(),
      ...(request.to ? { to: createAddressFromString(request.to) } : {}),
      data: hexToBytes(request.data ?? "0x"),
      value: request.value ?? 0n,
      gasLimit: gasOf(request),
      block: blockAt(this.common, at),
      skipBalance: true,
    });
    if (execResult.exceptionError) throw reverted(execResult);
    return bytesToHex(execResult.returnValue);
  }

  /** The least gas with which the transaction does what it does with as much as there may be. */
  async estimateGas(request: CallRequest, at: Moment): Promise<bigint> {
    const most = gasOf(request);
    const first = await this.#tryWith(request, most, at);
    if (first.execResult.exceptionError) throw reverted(first.execResult);
    let enough = first.totalGasSpent + first.gasRefund;
    // A call may be given 63/64 of what is left only, so what was spent may be too little.
    while (enough < most) {
      const { execResult } = await this.#tryWith(request, enough, at);
      if (!execResult.exceptionError) return enough;
      enough += enough / 64n + 1n;
    }
    return most;
  }

  async #tryWith(request: CallRequest, gasLimit: bigint, at: Moment): Promise<RunTxResult> {
    const { vm } = await this.#at(at);
    const from = request.from ? createAddressFromString(request.from) : createZeroAddress();
    const tx = createFeeMarket1559Tx(
      {
        ...(request.to ? { to: request.to } : {}),
        data: request.data ?? "0x",
        value: request.value ?? 0n,
        gasLimit,
        chainId: this.common.chainId(),
      },
      { common: this.common, freeze: false },
    );
    tx.getSenderAddress = () => from;
    const block = blockAt(this.common, at);
    try {
      return await runTx(vm, { tx, block, skipNonce: true, skipBalance: true });
    } catch (caught) {
      throw refusal(caught);
    }
  }

  async #account(address: Hex, at: Moment | undefined) {
    const state = at ? (await this.#at(at)).state : this.#state;
    return state.getAccount(createAddressFromString(address));
  }

  /** State of its own, so that nobody else sees what a call changes. */
  #at({ stateRoot: root }: Moment): Promise<{ state: MerkleStateManager; vm: VM }> {
    return stateAt({ common: this.common, nodes: this.#nodes, hashOf: this.#hashOf, root });
  }
}

/** Never more than a transaction may take: nothing else runs in this process meanwhile. */
function gasOf({ gas = TRANSACTION_GAS_MAX }: CallRequest): bigint {
  return gas > 0n && gas < TRANSACTION_GAS_MAX ? gas : TRANSACTION_GAS_MAX;
}

export type MachineOptions = {
  readonly common: Common;
  readonly nodes: DB<string, string>;
  readonly hashOf: (block: number) => Uint8Array;
  /** Undefined: the empty state. */
  readonly root?: Hex | undefined;
};

type Parts = MachineOptions & { readonly state: MerkleStateManager; readonly vm: VM };

async function stateAt(options: MachineOptions): Promise<{ state: MerkleStateManager; vm: VM }> {
  const { common, nodes, hashOf, root } = options;
  const trie = await createMPT({
    db: nodes,
    useKeyHashing: true,
    common,
    ...(root ? { root: hexToBytes(root) } : {}),
  });
  const state = new MerkleStateManager({ trie, common, caches: new Caches() });
  const blockchain = {
    getBlock: async (block: number) => ({ hash: () => hashOf(block) }),
    putBlock: async () => undefined,
    shallowCopy: () => blockchain,
  };
  return { state, vm: await createVM({ common, stateManager: state, blockchain }) };
}

/** A block for execution: only what contracts can see of it. Gas costs nothing here. */
export function blockAt(
  common: Common,
  { number, timestamp }: Pick<Moment, "number" | "timestamp">,
): Block {
  const header = { number, timestamp, gasLimit: BLOCK_GAS_MAX, baseFeePerGas: 0n };
  return createBlock({ header }, { common });
}

function reverted(result: {
  readonly returnValue: Uint8Array;
  readonly exceptionError?: { readonly error: string };
}): RpcError {
  const why = result.exceptionError?.error ?? "revert";
  if (why !== "revert") return new RpcError(REFUSED, `execution failed: ${why}`);
  return new RpcError(REVERTED, "execution reverted", bytesToHex(result.returnValue));
}

/** ethereumjs' sentence without the facts about its own version that follow it. */
function refusal(caught: unknown): RpcError {
  const words = caught instanceof Error ? caught.message : String(caught);
  return new RpcError(REFUSED, words.replace(/ \((vm hf|tx type|block|block=).*$/s, ""));
}
