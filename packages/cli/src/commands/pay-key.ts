// `manyhands pay key <file>`: a key for an owner or an attestor, made once; and its account.
import type { Command } from "commander";
import { EXIT_OK } from "../exit-codes.ts";
import { onChain } from "../pay/chain-flags.ts";
import { type Io, print, printJson, remark } from "../terminal/io.ts";
import { jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const HELP = `
Whoever has the file has the account: nobody else can read it, and there is no copy. A key that
holds much belongs in a wallet; this is for paying from a machine, for attesting, and for tries.`;

export function addKey(pay: Command, io: Io, setExitCode: SetExitCode): void {
  pay
    .command("key")
    .description("say which account a key file is; make it if it is not there")
    .argument("<file>", "such as owner.key")
    .addOption(jsonOption("the account"))
    .addHelpText("after", HELP)
    .action(async (file: string, flags: { readonly json?: boolean }) => {
      const { openKey } = await onChain(() => import("../onchain/open-key.ts"));
      const { account, isNew } = await openKey(file);
      if (flags.json) printJson(io, { account, made: isNew });
      else print(io, account);
      if (isNew) remark(io, `This is a new key, in ${file}. Keep it: there is no other copy.`);
      setExitCode(EXIT_OK);
    });
}
