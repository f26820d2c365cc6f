// `manyhands pay scores <run>`: how validators scored a run's windows, and who is waited for.
import type { Command } from "commander";
import { EXIT_OK } from "../exit-codes.ts";
import type { WindowTold } from "../onchain/pay-scores.ts";
import { onChain } from "../pay/chain-flags.ts";
import { groupedText } from "../terminal/format.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const HELP = `
A phase ends by itself when every validator has come, or when pay.settleEvery more rounds are
closed. A finished run has no more rounds: there --end goes on without those who have not come.
What half of all stake does not agree on goes by accepted tokens.`;

type Flags = { readonly end?: boolean; readonly json?: boolean };

export function addScores(pay: Command, io: Io, setExitCode: SetExitCode): void {
  pay
    .command("scores")
    .description("how validators scored the run's windows, and who is waited for")
    .argument("<run>", "the run's folder, or its id below runs/")
    .option("--end", "wait no longer: end the phase of each window that waits for somebody")
    .addOption(jsonOption("all windows"))
    .addHelpText("after", HELP)
    .action(async (run: string, flags: Flags) => {
      const { tellScores } = await onChain(() => import("../onchain/pay-scores.ts"));
      const windows = tellScores(run, flags.end ?? false);
      if (flags.json) printJson(io, { windows });
      else print(io, windows.map(windowText).join("\n") || "No window has ended yet.");
      setExitCode(EXIT_OK);
    });
}

function windowText({ window, lastRound, phase, committed, revealed, result }: WindowTold): string {
  const place = `Window ${window}, up to round ${lastRound}:`;
  if (phase === "commit") return `${place} ${committed.length} have committed`;
  if (!result) return `${place} ${revealed.length} of ${committed.length} have revealed`;
  const { accepted, agreedBps, trustBps } = result;
  const tokens = `${place} ${groupedText(accepted)} tokens`;
  if (agreedBps === 0) return `${tokens}, as they were accepted: nothing was agreed on`;
  const trust = Object.entries(trustBps).map(([account, bps]) => `${account} ${bps / 100} %`);
  return `${tokens}, ${agreedBps / 100} % by consensus, which agreed with ${trust.join(", ")}`;
}
