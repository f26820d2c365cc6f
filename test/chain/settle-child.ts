// A settler as a process of its own that kills itself, once at each step of each transaction, with
// the signal that nobody can catch. Its run is made up: three accounts, more with every round.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ChainClient } from "@manyhands/chain/settle/client";
import { Contracts } from "@manyhands/chain/settle/contracts";
import { Funding } from "@manyhands/chain/settle/funding";
import { Journal } from "@manyhands/chain/settle/journal";
import { type Bundle, postingOf } from "@manyhands/chain/settle/ledger";
import { signPosting } from "@manyhands/chain/settle/posting";
import { type OnStep, Sender } from "@manyhands/chain/settle/sender";
import { bundleOf, Settler, takeSignature } from "@manyhands/chain/settle/settler";
import { FUNDING, hexOf, keyed, type Orders, owed, payOf } from "./settle-play.ts";

const orders = JSON.parse(process.argv[2] ?? "{}") as Orders;
const { folder, url, chainId, registry, token, round } = orders;

function bundleAt(place: Pick<Bundle, "onChainRunId" | "sequence">): Bundle {
  const root = "5e".repeat(32);
  const roots = { head: root, roundsRoot: root, weightsRoot: root, runId: "ab".repeat(32) };
  const accounts = owed(round).map(([account, units]) => ({ account, cumulative: `${units}` }));
  const total = owed(round).reduce((sum, [, units]) => sum + units, 0n);
  const form = "manyhands settlement 1" as const;
  return { form, ...roots, ...place, round, rows: round + 1, accounts, total: `${total}` };
}

const client = await ChainClient.open({ url, chainId, pollMs: 5 });
const contracts = await Contracts.open(client, { registry: hexOf(registry), token: hexOf(token) });
const journal = Journal.open(join(folder, "settle.sqlite"), 5_000);
const pay = payOf(orders);

/** Each mark is a file, so that the next process knows that this death has been died. */
const onStep: OnStep = (step) => {
  const ended = journal.transactions().filter(({ state }) => state === "mined").length;
  const mark = join(folder, `died-${ended}-${step}`);
  if (existsSync(mark)) return;
  writeFileSync(mark, "");
  process.kill(process.pid, "SIGKILL");
};

const sender = new Sender({ client, journal, account: keyed("owner"), onStep });
const parts = { runId: "ab".repeat(32), pay, contracts, journal, sender };
const settler = new Settler({
  ...parts,
  roundsClosed: () => round + 1,
  bundleWithin: (_, place) => bundleAt(place),
});
// As a person who repeats the command until it says that it is done.
const isFunded = journal
  .transactions()
  .some(({ purpose, state }) => purpose.startsWith("fund:") && state === "mined");
if (!isFunded) await new Funding(parts).fund(FUNDING);
for (;;) {
  const standing = await settler.advance(true);
  if (standing.kind !== "signatures") {
    process.stdout.write(`${standing.kind}\n`);
    break;
  }
  const stored = journal.settlements().at(-1) ?? { sequence: 0, bundle: "" };
  const domain = { chainId, settlement: contracts.settlement };
  for (const name of ["one", "two"]) {
    const signature = await signPosting(keyed(name), postingOf(bundleOf(stored)), domain);
    await takeSignature({ journal, pay, ...domain }, stored.sequence, signature);
  }
}
journal.close();
