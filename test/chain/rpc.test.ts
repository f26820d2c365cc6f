// A public chain's bad days, on anvil: prices rise, nodes forget, blocks are taken back, the
// address goes dead, moves to another chain, or lies. What is to happen once happens once.
import { deepEqual, equal, match, notEqual, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { ManyhandsError } from "@manyhands/base/errors";
import type { Transaction } from "@manyhands/chain/settle/journal";
import type { OnStep, Sender } from "@manyhands/chain/settle/sender";
import { parseTransaction } from "viem";
import { CHAIN, GWEI, type Lie, Weather } from "./rpc-play.ts";

const LIMIT = { timeout: 120_000 };
const DEAR = 300n * GWEI;

const feeOf = ({ raw }: Transaction): bigint => parseTransaction(raw).maxFeePerGas ?? 0n;
const tipOf = ({ raw }: Transaction): bigint => parseTransaction(raw).maxPriorityFeePerGas ?? 0n;
const statesOf = (all: readonly Transaction[]): string => all.map(({ state }) => state).join();

test(
  "stuck: the same nonce at a higher fee, stored before it is sent, mined once",
  LIMIT,
  async (t) => {
    const weather = await Weather.begin(t);
    const work = weather.sending((sender) => sender.once("mint", weather.mint()), {
      ...{ bumpBlocks: 3, feeMax: 10_000n * GWEI },
    });
    await weather.untilStored(1);
    await weather.mine(3, DEAR);
    const [first, second] = await weather.untilStored(2);
    ok(first && second);
    equal(second.nonce, first.nonce);
    ok(feeOf(second) * 8n > feeOf(first) * 9n, "an eighth more, at least");
    ok(tipOf(second) * 8n > tipOf(first) * 9n, "the tip too");
    ok(feeOf(second) >= DEAR, "enough for now");
    await weather.mining(work);
    const states = weather.transactions().map(({ state }) => state);
    equal(states.filter((state) => state === "mined").length, 1);
    equal(states.filter((state) => state === "dead").length, states.length - 1);
    await weather.minted(1, "once");
  },
);

test("the one that was to be replaced is mined after all: it counts", LIMIT, async (t) => {
  const weather = await Weather.begin(t);
  let signed = 0;
  // Dies when the second one is stored, and nobody has it yet.
  const onStep: OnStep = (step) => {
    if (step === "signed" && ++signed === 2) throw new Error("killed");
  };
  const work = weather.sending((sender) => sender.once("mint", weather.mint()), {
    ...{ bumpBlocks: 3, feeMax: 10_000n * GWEI, onStep },
  });
  const killed = rejects(work, /killed/);
  await weather.untilStored(1);
  await weather.untilWaiting();
  await weather.mine(3, DEAR);
  await killed;
  await weather.mine();
  // Another node still has the first one.
  await weather.ask("eth_sendRawTransaction", weather.transactions()[0]?.raw);
  await weather.mine();
  await weather.sending((sender) => sender.resume());
  equal(statesOf(weather.transactions()), "mined,dead");
  await weather.minted(1, "once");
});

test(
  "dearer than the cap: nothing is signed, or nothing dearer; quiet again, it goes on",
  LIMIT,
  async (t) => {
    const weather = await Weather.begin(t);
    const mint = (sender: Sender) => sender.once("mint", weather.mint());
    const capped = { bumpBlocks: 2, feeMax: 100n * GWEI };
    await weather.mine(1, DEAR);
    await rejects(weather.sending(mint, capped), /gas costs \d+ wei, more than 100000000000/);
    equal(weather.transactions().length, 0);
    await weather.mine();
    const work = weather.sending(mint, capped);
    const stopped = rejects(work, /gas costs \d+ wei, more than/);
    await weather.untilStored(1);
    await weather.mine(2, DEAR);
    await stopped;
    equal(statesOf(weather.transactions()), "signed", "it still stands");
    await weather.mining(weather.sending(mint, capped));
    equal(statesOf(weather.transactions()), "mined", "the same one");
    await weather.minted(1, "once");
  },
);

test("a node forgets what waits: it is sent again", LIMIT, async (t) => {
  const weather = await Weather.begin(t);
  const work = weather.sending((sender) => sender.once("mint", weather.mint()));
  const [one] = await weather.untilStored(1);
  for (let times = 0; times < 5; times++) {
    await weather.ask("anvil_dropTransaction", one?.hash);
  }
  await weather.mining(work);
  equal(statesOf(weather.transactions()), "mined");
  await weather.minted(1, "once");
});

for (const confirmations of [0, 3]) {
  test(
    `a reorganisation takes it out (${confirmations} deep): it goes in again`,
    LIMIT,
    async (t) => {
      const weather = await Weather.begin(t);
      const before = await weather.ask("evm_snapshot");
      const two = async (sender: Sender): Promise<void> => {
        await sender.once("mint 1", weather.mint());
        await sender.once("mint 2", weather.mint());
      };
      await weather.mining(weather.sending(two, { confirmations }));
      await weather.minted(2, "as long as it stands");
      await weather.ask("evm_revert", before);
      await weather.minted(0, "gone");
      await weather.mining(weather.sending((sender) => sender.resume(), { confirmations }));
      await weather.minted(2, "there again, each once");
      equal(statesOf(weather.transactions()), "mined,mined", "the same bytes");
    },
  );
}

test("in a block that is taken back before it is deep", LIMIT, async (t) => {
  const weather = await Weather.begin(t);
  const deep = { confirmations: 4 };
  const work = weather.sending((sender) => sender.once("mint", weather.mint()), deep);
  const [one] = await weather.untilStored(1);
  for (let seen: unknown = null; seen === null; ) {
    await weather.mine();
    seen = await weather.ask("eth_getTransactionReceipt", one?.hash);
  }
  equal(statesOf(weather.transactions()), "signed", "in a block is not yet mined");
  await weather
    .ask("anvil_reorg", { depth: 1, txBlockPairs: [] })
    .catch(() => weather.ask("anvil_reorg", 1, []));
  await weather.ask("anvil_dropTransaction", one?.hash);
  await weather.mining(work);
  equal(statesOf(weather.transactions()), "mined");
  await weather.minted(1, "once");
});

test("taken out, and its nonce taken by another one: signed anew, once", LIMIT, async (t) => {
  const weather = await Weather.begin(t);
  const before = await weather.ask("evm_snapshot");
  const mint = (sender: Sender) => sender.once("mint", weather.mint());
  await weather.mining(weather.sending(mint));
  await weather.ask("evm_revert", before);
  const other = await weather.account.signTransaction({
    ...{ type: "eip1559", chainId: CHAIN, nonce: 0, gas: 21_000n, to: weather.token },
    ...{ to: weather.account.address, maxFeePerGas: 90n * GWEI, maxPriorityFeePerGas: GWEI },
  });
  await weather.ask("eth_sendRawTransaction", other);
  await weather.mine();
  await weather.sending((sender) => sender.resume());
  equal(statesOf(weather.transactions()), "dead");
  await weather.mining(weather.sending(mint));
  equal(statesOf(weather.transactions()), "dead,mined");
  deepEqual(
    weather.transactions().map(({ nonce }) => nonce),
    [0, 1],
  );
  await weather.minted(1, "once");
});

test(
  "nonces go on after a restart, and after what somebody else sent with the key",
  LIMIT,
  async (t) => {
    const weather = await Weather.begin(t);
    await weather.mining(weather.sending((sender) => sender.once("mint 1", weather.mint())));
    const theirs = await weather.account.signTransaction({
      ...{ type: "eip1559", chainId: CHAIN, nonce: 1, gas: 21_000n },
      ...{ to: weather.account.address, maxFeePerGas: 90n * GWEI, maxPriorityFeePerGas: GWEI },
    });
    await weather.ask("eth_sendRawTransaction", theirs); // in no block yet
    await weather.mining(weather.sending((sender) => sender.once("mint 2", weather.mint())));
    await weather.mining(weather.sending((sender) => sender.once("mint 1", weather.mint())));
    deepEqual(
      weather.transactions().map(({ nonce, state }) => `${nonce} ${state}`),
      ["0 mined", "2 mined"],
    );
    await weather.minted(2, "two purposes");
  },
);

test(
  "the address becomes another chain's: nothing is signed, nothing given up",
  LIMIT,
  async (t) => {
    const weather = await Weather.begin(t);
    const refused = /answers for chain 5, the run pays on 7433077/;
    await rejects(
      weather.sending(async (sender) => {
        await weather.ask("anvil_setChainId", 5);
        return sender.once("mint", weather.mint());
      }),
      refused,
    );
    equal(weather.transactions().length, 0);
    await rejects(
      weather.sending((sender) => sender.resume()),
      refused,
    );
    await weather.ask("anvil_setChainId", CHAIN);
    await weather.mining(weather.sending((sender) => sender.once("mint", weather.mint())));
    await weather.minted(1, "once");
  },
);

test("another chain of the same number is not taken for this one", LIMIT, async (t) => {
  const weather = await Weather.begin(t);
  await weather.mining(weather.sending((sender) => sender.once("mint", weather.mint())));
  const other = await Weather.begin(t, 1_900_000_000);
  await rejects(
    weather.sending((sender) => sender.resume(), { url: other.url }),
    (caught: ManyhandsError) => {
      match(caught.message, /another chain 7433077 than the one before/);
      match(caught.hint ?? "", /remove settle\.sqlite/);
      return true;
    },
  );
  equal(statesOf(weather.transactions()), "mined", "nothing is sent there");
});

test(
  "nobody answers: a sentence with a hint, and the same call goes on later",
  LIMIT,
  async (t) => {
    const weather = await Weather.begin(t);
    const middleman = await weather.middleman();
    const { url } = middleman;
    const mint = (sender: Sender) => sender.once("mint", weather.mint());
    const silent: Lie = () => {
      throw new Error("down");
    };
    for (const from of ["eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_chainId"]) {
      middleman.lie = (method) => (method === from ? silent(method, null) : undefined);
      await rejects(weather.sending(mint, { url }), (caught: ManyhandsError) => {
        match(caught.message, /the chain does not answer/);
        match(caught.hint ?? "", /Nothing is lost: the same command goes on/);
        return true;
      });
    }
    middleman.lie = () => undefined;
    await weather.mining(weather.sending(mint, { url }));
    equal(weather.transactions().length, 1, "signed once");
    await weather.minted(1, "once");
  },
);

const METHODS = [
  ...["eth_chainId", "eth_getBlockByNumber", "eth_estimateGas", "eth_getTransactionCount"],
  ...["eth_maxPriorityFeePerGas", "eth_sendRawTransaction", "eth_getTransactionReceipt"],
  ...["eth_blockNumber", "eth_call"],
];
const RUBBISH: readonly unknown[] = [
  ...[null, "", "0x", "what?", `0x${"f".repeat(64)}`, {}, [], true, -1, ["0x1"]],
  { status: "0x1", blockNumber: "0x1", logs: [], transactionHash: `0x${"0".repeat(64)}` },
  { number: "0xzz", timestamp: "-5", baseFeePerGas: "free" },
];

for (const method of METHODS) {
  test(`rubbish for ${method}: an error with a hint or no harm, never twice`, LIMIT, async (t) => {
    const weather = await Weather.begin(t);
    const middleman = await weather.middleman();
    const { url } = middleman;
    const impatient = { url, patienceMs: 20, feeMax: 500n * GWEI };
    for (const [turn, rubbish] of RUBBISH.entries()) {
      const mint = (sender: Sender) => sender.once(`mint ${turn}`, weather.mint());
      middleman.lie = (asked) => (asked === method ? rubbish : undefined);
      await weather.sending(mint, impatient).catch((caught: unknown) => {
        ok(caught instanceof ManyhandsError, `${method}: ${JSON.stringify(rubbish)}: ${caught}`);
        notEqual(caught.hint ?? "", "");
      });
      middleman.lie = () => undefined;
      await weather.mining(weather.sending(mint, { url }));
      await weather.minted(turn + 1, JSON.stringify(rubbish));
    }
  });
}

test(
  "a receipt of what never happened is believed until somebody tells the truth",
  LIMIT,
  async (t) => {
    const weather = await Weather.begin(t);
    const middleman = await weather.middleman();
    middleman.lie = (method, honest) => {
      if (method !== "eth_getTransactionReceipt" || honest !== null) return undefined;
      const hash = weather.transactions()[0]?.hash;
      return { status: "0x1", blockNumber: "0x1", logs: [], transactionHash: hash };
    };
    const { url } = middleman;
    await weather.sending((sender) => sender.once("mint", weather.mint()), { url });
    await weather.ask("anvil_dropTransaction", weather.transactions()[0]?.hash);
    await weather.minted(0, "it never was");
    await weather.mining(weather.sending((sender) => sender.resume()));
    equal(statesOf(weather.transactions()), "mined");
    await weather.minted(1, "once");
  },
);
