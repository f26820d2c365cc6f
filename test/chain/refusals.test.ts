// What must be refused, each on the chain (in a block, reverted) and off it (before anything is
// signed or sent), on both chains. What attestors refuse by the log: pay.test.ts.
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { test } from "node:test";
import { ChainClient } from "@manyhands/chain/settle/client";
import { RefusedError } from "@manyhands/chain/settle/errors";
import { inOrder } from "@manyhands/chain/settle/posting";
import { attestorsOf } from "@manyhands/chain/settle/settler";
import { chainTermsProblem } from "manyhands/onchain/chain-terms";
import { CHAIN_ID, openAnvil, openLocal } from "./backends.ts";
import { BUDGET, RefusalScene, RUN_ID } from "./refusal-scene.ts";
import { keyed } from "./settle-play.ts";

const LIMIT = { timeout: 120_000 };
const stranger = keyed("stranger");

/** What is refused on the chain with this error, and what is refused off it. */
type Row = {
  readonly what: string;
  readonly error: RegExp;
  readonly onChain: (scene: RefusalScene) => Promise<Parameters<RefusalScene["reverts"]>[0]>;
  readonly offChain: (scene: RefusalScene) => Promise<void>;
};

const NOT_ATTESTORS = /not an attestor's of this run, of this settlement/;

const TABLE: readonly Row[] = [
  {
    what: "a double claim",
    error: /nothing is due \(ClaimFailed\(2\)\)/,
    onChain: async (scene) => scene.claim(),
    offChain: async ({ settler }) => equal(await settler.claim(1), 0, "nobody is due anything"),
  },
  {
    what: "a wrong proof",
    error: /its proof is wrong \(ClaimFailed\(1\)\)/,
    onChain: async (scene) => scene.claim({ cumulative: 10n ** 9n }),
    offChain: async (scene) => {
      const forged = scene.claim({ proof: [`0x${"00".repeat(32)}`] });
      await rejects(scene.sender.once("forged", forged), /its proof is wrong/);
    },
  },
  {
    what: "a forged signature",
    error: /signature 0 is not that attestor's/,
    onChain: (scene) => {
      const posting = scene.posting();
      const signed = scene.signature(stranger, posting);
      return scene.post(posting, new Map(scene.attestors.map(({ address }) => [address, signed])));
    },
    offChain: async (scene) => {
      await prepared(scene);
      const signature = await scene.signature(stranger, scene.posting());
      await rejects(scene.take(2, signature), NOT_ATTESTORS);
      await rejects(scene.take(2, "0x1234"), NOT_ATTESTORS);
      equal(scene.journal.signatures(2).size, 0);
    },
  },
  {
    what: "too few signatures",
    error: /2 attestors must sign, 1 have/,
    onChain: (scene) => {
      const posting = scene.posting();
      const one = scene.attestors.slice(0, 1);
      const signed = one.map((who) => [who.address, scene.signature(who, posting)] as const);
      return scene.post(posting, new Map(signed));
    },
    offChain: async (scene) => {
      await prepared(scene);
      await scene.sign(1);
      const waits = await scene.settler.advance(true);
      deepEqual(waits, { kind: "signatures", sequence: 2, missing: 1 });
    },
  },
  {
    what: "one signature twice",
    error: /an attestor's signature is there twice/,
    onChain: async (scene) => {
      const call = await scene.post(scene.posting());
      const [posting, endorsement] = call.args as [unknown, { signatures: readonly unknown[] }];
      const [first] = endorsement.signatures;
      return { ...call, args: [posting, { ...endorsement, signatures: [first, first] }] };
    },
    offChain: async (scene) => {
      await prepared(scene);
      await scene.sign(1);
      await scene.sign(1);
      equal(scene.journal.signatures(2).size, 1);
    },
  },
  {
    what: "a falling total",
    error: /credits only rise: 6006 are settled, this says 6005/,
    onChain: (scene) => scene.post(scene.posting({ total: 6_005n })),
    offChain: async (scene) => {
      scene.bundle = (place) => {
        const bundle = scene.bundleAt(0, place);
        return { ...bundle, round: 1, total: "6005" };
      };
      equal((await scene.settler.advance(true)).kind, "paid", "nothing new is settled");
      equal(scene.journal.settlements().length, 1);
    },
  },
  {
    what: "a total over the budget",
    error: /the run is funded with 50000, this says 50001/,
    onChain: (scene) => scene.post(scene.posting({ total: BUDGET + 1n })),
    offChain: async (scene) => {
      scene.round = 1_000;
      await scene.settler.advance(true);
      const [, second] = scene.journal.settlements();
      equal(second?.round, 7, "48,006 units fit, 54,006 do not");
    },
  },
  {
    what: "signatures of another chain id",
    error: /signature 0 is not that attestor's/,
    onChain: (scene) => {
      const posting = scene.posting();
      const foreign = scene.attestors.map(
        (who) => [who.address, scene.signature(who, posting, 1)] as const,
      );
      return scene.post(posting, new Map(foreign));
    },
    offChain: async (scene) => {
      await prepared(scene);
      const [one = stranger] = scene.attestors;
      const foreign = await scene.signature(one, scene.posting(), 1);
      await rejects(scene.take(2, foreign), NOT_ATTESTORS);
      const { url } = scene.chain;
      await rejects(ChainClient.open({ url, chainId: 1 }), new RegExp(`chain ${CHAIN_ID}.* on 1`));
    },
  },
  {
    what: "signatures of another run",
    error: /signature 0 is not that attestor's/,
    onChain: async (scene) => {
      const posting = scene.posting({ sequence: 1n, total: 0n });
      const signed = scene.attestors.map(
        (who) => [who.address, scene.signature(who, posting)] as const,
      );
      return scene.post({ ...posting, runId: 2n }, new Map(signed));
    },
    offChain: async (scene) => {
      await prepared(scene);
      const [one = stranger] = scene.attestors;
      const other = await scene.signature(one, scene.posting({ runId: 2n }));
      await rejects(scene.take(2, other), NOT_ATTESTORS);
      const { contracts, pay } = scene;
      const place = { onChainRunId: 2, sequence: 1 };
      const problem = await chainTermsProblem(contracts, { runId: RUN_ID, pay }, place);
      match(problem ?? "", /run 2 on the chain is another run, 0xcdcd/);
    },
  },
  {
    what: "a settlement a second time",
    error: /settlement 2 is next, this is 1/,
    onChain: (scene) => scene.post(scene.posting({ sequence: 1n })),
    offChain: async ({ settler, journal }) => {
      const before = journal.transactions().length;
      equal((await settler.advance(true)).kind, "paid");
      equal(journal.transactions().length, before, "nothing is sent");
    },
  },
  {
    what: "a claim in the challenge window",
    error: /its proof is wrong|nothing is due/,
    onChain: async (scene) => {
      await posted(scene);
      return scene.claim({}, 1);
    },
    offChain: async (scene) => {
      await posted(scene);
      equal(await scene.settler.claim(1), 0);
      equal((await scene.settler.advance(true)).kind, "window");
    },
  },
  {
    what: "a settlement that nobody who knows the log has signed",
    error: /2 attestors must sign, 0 have/,
    onChain: (scene) => scene.post(scene.posting({ total: BUDGET }), new Map()),
    offChain: async (scene) => {
      await prepared(scene);
      // Whoever checked the log has signed for its total, not for this one.
      const [one = stranger] = scene.attestors;
      const more = await scene.signature(one, scene.posting({ total: BUDGET }));
      await rejects(scene.take(2, more), NOT_ATTESTORS);
    },
  },
];

/** The second settlement, waiting for signatures. */
async function prepared(scene: RefusalScene): Promise<void> {
  scene.round = 1;
  equal((await scene.settler.advance(true)).kind, "signatures");
}

async function posted(scene: RefusalScene): Promise<void> {
  if (scene.journal.settlements().length > 1) return;
  await prepared(scene);
  await scene.sign();
  equal((await scene.settler.advance(true)).kind, "window");
}

for (const open of [openLocal, openAnvil]) {
  const name = open === openLocal ? "local" : "anvil";
  for (const { what, error, onChain, offChain } of TABLE) {
    test(`${name}, refused: ${what}`, LIMIT, async (t) => {
      const chain = await open();
      t.after(() => chain.close());
      const scene = await RefusalScene.open(chain);
      t.after(() => scene.close());
      await t.test("on the chain, in a block", async () => {
        const call = await onChain(scene);
        const refused = (caught: Error): boolean =>
          caught instanceof RefusedError && error.test(caught.message);
        const asked = { ...call, account: scene.sender.account.address };
        await rejects(scene.contracts.client.estimate(what, asked), refused);
        await scene.reverts(call);
      });
      await t.test("off the chain, before anything is sent", async () => {
        const before = scene.journal.transactions().length;
        await offChain(scene);
        equal(scene.journal.transactions().length, before, "nothing is signed");
      });
    });
  }
}

test("an attestor compares the chain's run with the frozen one, term by term", LIMIT, async (t) => {
  const chain = await openLocal();
  t.after(() => chain.close());
  const scene = await RefusalScene.open(chain);
  t.after(() => scene.close());
  const { contracts, pay } = scene;
  const said = (onChainRunId: number, sequence = 1): Promise<string | null> =>
    chainTermsProblem(contracts, { runId: RUN_ID, pay }, { onChainRunId, sequence });
  equal(await said(1, 2), null);
  match((await said(1, 3)) ?? "", /it is number 3, and the chain waits for number 2/);
  match((await said(99)) ?? "", /has made no run 99/);
  const others = inOrder([...attestorsOf(pay), stranger.address]);
  for (const [changes, problem] of [
    [{ configHash: `0x${"99".repeat(32)}` }, /is another run, 0x9999/],
    [{ token: contracts.registry }, /pays in another token/],
    [{ challengeWindow: 1n }, /has a challenge window of 1 s/],
    [{ threshold: 1 }, /other attestors, or another threshold/],
    [{ attestors: others }, /other attestors/],
  ] as const) {
    const id = await scene.make(String(problem), changes);
    match((await said(id)) ?? "", problem);
  }
});
