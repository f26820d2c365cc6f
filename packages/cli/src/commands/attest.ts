// `manyhands attest <url|run>`: a settlement computed anew from the log, and signed if it is the
// same.
import type { Command } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import type { AttestFlags } from "../onchain/attest.ts";
import { addChainFlags, onChain } from "../pay/chain-flags.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { exampleText, jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const HELP = `
Reads the whole log, checks its chain, every signature and every event, and computes who is owed
what. It signs only if every byte is what the coordinator published, and says what differs if not.
From a folder it computes all weights again too; over HTTP it trusts the log's roots of weights.
The run on the chain must have the run's id and terms. What was signed is kept in a file beside the
key: a log that was rewritten behind it gets no signature.`;

export function addAttest(program: Command, io: Io, setExitCode: SetExitCode): void {
  const command = program
    .command("attest")
    .description("check a run's newest settlement, and sign it if the log supports it")
    .argument("<url|run>", "the run's join address, or its folder or id");
  addChainFlags(command)
    .option("--memory <file>", "what was signed before (default <key file>.attested.json)")
    .addOption(jsonOption("what was signed"))
    .addHelpText("after", HELP)
    .addHelpText(
      "after",
      exampleText(["npx manyhands attest 'http://192.168.1.5:7433/runs/3f…#5c…' --key mine.key"]),
    )
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (given: string, flags: AttestFlags & { readonly json?: boolean }) => {
      const { attestRun } = await onChain(() => import("../onchain/attest.ts"));
      const attested = await attestRun(given, flags);
      const { sequence, round, accounts, total, attestor, checked } = attested;
      const text =
        `Settlement ${sequence} (up to round ${round}; ${accounts} accounts, ${total} units) is ` +
        `what the log says; signed as ${attestor}.` +
        (checked === "weights" ? " Every round was computed again." : "");
      if (flags.json) printJson(io, attested);
      else print(io, text);
      setExitCode(EXIT_OK);
    });
}
