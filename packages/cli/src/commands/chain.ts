// `manyhands chain`: a local chain with the contracts on it, for wallets and scripts on this
// machine. One operator's ledger, and it says so.
import { homedir } from "node:os";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import { onChain } from "../pay/chain-flags.ts";
import { LOCAL_CHAIN } from "../pay/local-chain.ts";
import { LOCAL_PORT } from "../pay/rpc-url.ts";
import { aborted, watchInterrupts } from "../terminal/interrupts.ts";
import { type Io, print, printJson, remark } from "../terminal/io.ts";
import { exampleText, jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";
import { wholeNumber } from "./whole-number.ts";

type ChainFlags = {
  readonly folder: string;
  readonly port: number;
  readonly chainId: number;
  readonly json?: boolean;
};

const HELP = `
The chain is an Ethereum machine of this process, in one file; a transaction is on the disk before
it is answered. Gas costs nothing. It is one operator's ledger: whoever has the file can show that
nothing in it was changed afterwards, but nobody else has agreed to it.`;

export function addChain(program: Command, io: Io, setExitCode: SetExitCode): void {
  program
    .command("chain")
    .description("serve a local chain with Manyhands' contracts on it")
    .addOption(
      new Option("--folder <dir>", "where it is kept").default(
        join(homedir(), ".manyhands", "chain"),
        "~/.manyhands/chain",
      ),
    )
    .option("--port <n>", "port on 127.0.0.1, 0 for any", wholeNumber(0, 65_535), LOCAL_PORT)
    .option("--chain-id <n>", "its number", wholeNumber(1, 2 ** 50), LOCAL_CHAIN.chainId)
    .addOption(jsonOption("the addresses, as one JSON object"))
    .addHelpText("after", HELP)
    .addHelpText("after", exampleText(["npx manyhands chain"]))
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (flags: ChainFlags) => {
      await serve(flags, io);
      setExitCode(EXIT_OK);
    });
}

async function serve({ folder, port, chainId, json }: ChainFlags, io: Io): Promise<void> {
  const { openLocalServer } = await onChain(() => import("../onchain/local-server.ts"));
  const interrupts = watchInterrupts();
  try {
    const { url, contracts, close } = await openLocalServer({ folder, port, chainId });
    if (json) printJson(io, { url, chainId, ...contracts });
    else {
      print(io, `RPC         ${url}   chain id ${chainId}`);
      print(io, `registry    ${contracts.registry}`);
      print(io, `provenance  ${contracts.provenance}`);
      print(io, `test dollar ${contracts.dollar}   6 decimals; anybody may mint`);
      remark(io, "One operator's ledger: tamper-evident, not decentralised. Ctrl-C ends it.");
    }
    await aborted(interrupts.polite);
    await close();
  } finally {
    interrupts.release();
  }
}
