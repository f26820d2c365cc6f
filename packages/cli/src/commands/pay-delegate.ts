// `manyhands pay delegate <url>`: a wallet lets a device work for its account.
import { isHex } from "@manyhands/base/bytes";
import { type Command, InvalidArgumentError } from "commander";
import { EXIT_OK } from "../exit-codes.ts";
import type { Delegated, DelegateFlags } from "../onchain/delegate.ts";
import { onChain } from "../pay/chain-flags.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { exampleText, jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const HELP = `
The wallet's key signs once, for one device in one run; no chain is asked, and it costs no gas. The
device's folder keeps it, and its next join has it. For a device elsewhere give its id (\`manyhands
join\` and the page show it), and there: manyhands join <url> --pay-to <account> --delegation <it>.
With a wallet in the browser the page asks for the same signature.`;

export function addDelegate(pay: Command, io: Io, setExitCode: SetExitCode): void {
  pay
    .command("delegate")
    .description("sign, as a wallet, that a device works for its account")
    .argument("<url>", "the run's join address, with its token")
    .option("--key <file>", "a file with the wallet's private key")
    .option("--folder <dir>", "the device's folder (default ~/.manyhands)")
    .option("--device <id>", "a device elsewhere, by its 64 hex digits", deviceFlag)
    .addOption(jsonOption("what was signed"))
    .addHelpText("after", HELP)
    .addHelpText(
      "after",
      exampleText([
        "npx manyhands pay delegate 'http://192.168.1.5:7433/runs/3f…#5c…' --key w.key",
      ]),
    )
    .action(async (url: string, flags: DelegateFlags & { readonly json?: boolean }) => {
      const { delegateTo } = await onChain(() => import("../onchain/delegate.ts"));
      const delegated = await delegateTo(url, flags);
      if (flags.json) printJson(io, delegated);
      else print(io, delegatedText(delegated));
      setExitCode(EXIT_OK);
    });
}

function deviceFlag(text: string): string {
  const hex = text.trim().toLowerCase();
  if (isHex(hex, 32)) return hex;
  throw new InvalidArgumentError("Expected a device's id: 64 hex digits.");
}

function delegatedText({ account, device, run, delegation, folder }: Delegated): string {
  const said = `Device ${device} works for ${account} in run ${run.slice(0, 12)}….`;
  return folder === null
    ? `${said} There: manyhands join <url> --pay-to ${account} --delegation ${delegation}`
    : `${said} ${folder} keeps it; the next \`manyhands join\` from there has it.`;
}
