// `manyhands attest <url|run>`: a settlement computed anew from the log, and signed if it is the
// same; with --every again and again.
import type { Command } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import type { Attested, AttestFlags } from "../onchain/attest.ts";
import { addChainFlags, onChain } from "../pay/chain-flags.ts";
import { again } from "../terminal/again.ts";
import { numberText } from "../terminal/format.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { exampleText, jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";
import { wholeNumber } from "./whole-number.ts";

const HELP = `
Reads the whole log, checks its chain, every signature and every event, and computes who is owed
what. It signs only if every byte is what the coordinator published, and says what differs if not.
From a folder it computes all weights again too; over HTTP it trusts the log's roots of weights.
The run on the chain must have the run's id and terms. What was signed is kept in a file beside the
key: a log that was rewritten behind it gets no signature.`;

type Flags = AttestFlags & { readonly every?: number; readonly json?: boolean };

export function addAttest(program: Command, io: Io, setExitCode: SetExitCode): void {
  const command = program
    .command("attest")
    .description("check a run's newest settlement, and sign it if the log supports it")
    .argument("<url|run>", "the run's join address, or its folder or id");
  addChainFlags(command)
    .option("--memory <file>", "what was signed before (default <key file>.attested.json)")
    .option("--every <seconds>", "look again and again, until Ctrl-C", wholeNumber(1, 86_400))
    .addOption(jsonOption("what was signed"))
    .addHelpText("after", HELP)
    .addHelpText(
      "after",
      exampleText(["npx manyhands attest 'http://192.168.1.5:7433/runs/3f…#5c…' --key mine.key"]),
    )
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (given: string, flags: Flags) => {
      if (flags.every === undefined) {
        const { attestRun } = await onChain(() => import("../onchain/attest.ts"));
        tell(await attestRun(given, flags), flags, io);
      } else await attestEvery(flags.every, given, { flags, io });
      setExitCode(EXIT_OK);
    });
}

async function attestEvery(
  seconds: number,
  given: string,
  { flags, io }: { readonly flags: Flags; readonly io: Io },
): Promise<void> {
  const { attestAfter } = await onChain(() => import("../onchain/attest.ts"));
  let signed = 0;
  await again(seconds, io, async () => {
    const attested = await attestAfter(signed, given, flags);
    if (attested) tell(attested, flags, io);
    signed = attested?.sequence ?? signed;
  });
}

function tell(attested: Attested, { json }: Flags, io: Io): void {
  if (json) {
    printJson(io, attested);
    return;
  }
  const { sequence, round, accounts, attestor, checked } = attested;
  print(
    io,
    `Settlement ${sequence} (up to round ${round}, ${numberText(accounts, "account")}) is ` +
      `what the log says; signed as ${attestor}.` +
      (checked === "weights" ? " Every round was computed again." : ""),
  );
}
