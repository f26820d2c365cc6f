// `manyhands pay fund|settle|status|claim|export …`: a run's money on its chain.
// What only its owner does to it is pay-owner.ts's.
import type { Command } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import type { AccountsTold } from "../onchain/accounts.ts";
import type { FundFlags } from "../onchain/pay.ts";
import { addChainFlags, type ChainFlags, onChain } from "../pay/chain-flags.ts";
import { standingText } from "../pay/standing.ts";
import { groupedText } from "../terminal/format.ts";
import { type Io, print, printJson, remark } from "../terminal/io.ts";
import { exampleText, jsonOption } from "./options.ts";
import { addDelegate } from "./pay-delegate.ts";
import { addKey } from "./pay-key.ts";
import { addOwner } from "./pay-owner.ts";
import { addScores } from "./pay-scores.ts";
import type { SetExitCode } from "./set-exit-code.ts";

type Flags = ChainFlags & { readonly json?: boolean };

const RUN = ["<run>", "the run's folder, or its id below runs/"] as const;

export function addPay(program: Command, io: Io, setExitCode: SetExitCode): void {
  const pay = program
    .command("pay")
    .description("fund a run, settle it, pay its workers, and see who is owed what")
    .addHelpText(
      "after",
      exampleText([
        "npx manyhands pay key owner.key",
        "npx manyhands pay fund runs/<run id> 250 --key owner.key",
        "npx manyhands pay settle runs/<run id> --key owner.key",
        "npx manyhands pay status runs/<run id>",
      ]),
    )
    .addHelpText("after", EXIT_CODES_HELP);
  addKey(pay, io, setExitCode);
  addFund(pay, io, setExitCode);
  addSettleAndClaim(pay, io, setExitCode);
  addTold(pay, io, setExitCode);
  addDelegate(pay, io, setExitCode);
  addScores(pay, io, setExitCode);
  addOwner(pay, io, setExitCode);
}

function addFund(pay: Command, io: Io, setExitCode: SetExitCode): void {
  const command = pay
    .command("fund")
    .description("make the run on its chain if it is not there, and pay in")
    .argument(...RUN)
    .argument("<amount>", "in whole tokens, such as 250 or 0.5");
  addChainFlags(command)
    .option("--permit", "by the token's own signed approval (ERC-2612), if it has that")
    .option("--mint", "make test dollars for it first (a token of no value lets anybody)")
    .addOption(jsonOption("the run's number on the chain and its funds"))
    .action(async (run: string, amount: string, flags: FundFlags & Flags) => {
      const { fundRun } = await onChain(() => import("../onchain/pay.ts"));
      const funded = await fundRun(run, amount, flags);
      if (flags.json) printJson(io, funded);
      else print(io, `Run ${funded.onChainRunId} on its chain is funded with ${funded.funded}.`);
      if (flags.permit && funded.allowed !== "permit") {
        remark(io, "The token takes no signed approvals: it was approved by a transaction.");
      }
      setExitCode(EXIT_OK);
    });
}

function addSettleAndClaim(pay: Command, io: Io, setExitCode: SetExitCode): void {
  const settle = pay
    .command("settle")
    .description("one settlement now: as far as it goes, again goes on")
    .argument(...RUN);
  addChainFlags(settle)
    .addOption(jsonOption("how it stands"))
    .action(async (run: string, flags: Flags) => {
      const { settleRun } = await onChain(() => import("../onchain/pay.ts"));
      const standing = await settleRun(run, flags);
      if (flags.json) printJson(io, standing);
      else print(io, standingText(standing));
      setExitCode(EXIT_OK);
    });
  const claim = pay
    .command("claim")
    .description("pay everybody to whom something final is due")
    .argument(...RUN);
  addChainFlags(claim)
    .addOption(jsonOption("how many accounts"))
    .action(async (run: string, flags: Flags) => {
      const { claimRun } = await onChain(() => import("../onchain/pay.ts"));
      const accounts = await claimRun(run, flags);
      if (flags.json) printJson(io, { accounts });
      else print(io, accounts === 0 ? "Nothing was due." : `Claimed for ${accounts} accounts.`);
      setExitCode(EXIT_OK);
    });
}

function addTold(pay: Command, io: Io, setExitCode: SetExitCode): void {
  const status = pay
    .command("status")
    .description("what everybody has earned and was paid, and why not more")
    .argument(...RUN);
  addChainFlags(status)
    .addOption(jsonOption("all of it"))
    .action(async (run: string, flags: Flags) => {
      const { tellAccounts } = await onChain(() => import("../onchain/accounts.ts"));
      const told = await tellAccounts(run, flags);
      if (flags.json) printJson(io, told);
      else print(io, accountsText(told));
      setExitCode(EXIT_OK);
    });
  const table = pay
    .command("export")
    .description("the accounts as CSV")
    .argument(...RUN);
  addChainFlags(table).action(async (run: string, flags: Flags) => {
    const { accountsCsv, tellAccounts } = await onChain(() => import("../onchain/accounts.ts"));
    print(io, accountsCsv(await tellAccounts(run, flags)));
    setExitCode(EXIT_OK);
  });
}

function accountsText(told: AccountsTold): string {
  const { name, token, onChainRunId, state, funded, paid, accounts, trouble } = told;
  const place =
    onChainRunId === null
      ? "not on its chain yet"
      : `run ${onChainRunId} on its chain, ${state}: funded ${funded}, paid ${paid} ${token}`;
  const lines = accounts.map((row) => {
    const devices = row.devices.length > 0 ? `  (${row.devices.join(", ")})` : "";
    return (
      `${row.account}  earned ${row.earned}  pending ${row.pending}  final ${row.final}  ` +
      `paid ${row.paid}  ${row.why}${devices}`
    );
  });
  const waiting = told.unnamed.map(
    ({ device, tokens }) =>
      `${device}: ${groupedText(tokens)} tokens wait for an account (manyhands join --pay-to)`,
  );
  const unscored = told.unscored.map(
    ({ device, tokens }) => `${device}: ${groupedText(tokens)} tokens wait for their scores`,
  );
  return [`${name}: ${trouble ?? place}`, ...lines, ...waiting, ...unscored].join("\n");
}
