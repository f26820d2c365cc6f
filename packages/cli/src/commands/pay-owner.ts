// `manyhands pay pause|resume|finish|reclaim <run>`: what only a run's owner does with its money.
import type { Command } from "commander";
import { EXIT_OK } from "../exit-codes.ts";
import { addChainFlags, type ChainFlags, onChain } from "../pay/chain-flags.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

type Flags = ChainFlags & { readonly json?: boolean };

const RUN = ["<run>", "the run's folder, or its id below runs/"] as const;
const ANYWAY = "though it still trains, or somebody's work is in no settlement";

export function addOwner(pay: Command, io: Io, setExitCode: SetExitCode): void {
  addPause(pay, io, setExitCode);
  addFinish(pay, io, setExitCode);
  addReclaim(pay, io, setExitCode);
}

function addPause(pay: Command, io: Io, setExitCode: SetExitCode): void {
  const said = {
    pause: "Paused: no settlement is posted; what was posted becomes final, and is paid.",
    resume: "Settlements are posted again.",
  };
  for (const name of ["pause", "resume"] as const) {
    const isPaused = name === "pause";
    const what = isPaused ? "let no settlement be posted until `resume`" : "end a pause";
    const command = pay.command(name).description(`${what}, as the run's owner`);
    addChainFlags(command.argument(...RUN))
      .addOption(jsonOption("whether it is paused"))
      .action(async (run: string, flags: Flags) => {
        const { pauseRun } = await onChain(() => import("../onchain/pay.ts"));
        await pauseRun(run, flags, isPaused);
        if (flags.json) printJson(io, { paused: isPaused });
        else print(io, said[name]);
        setExitCode(EXIT_OK);
      });
  }
}

function addFinish(pay: Command, io: Io, setExitCode: SetExitCode): void {
  const command = pay
    .command("finish")
    .description("say on the chain that the run is over: two challenge windows are left to settle")
    .argument(...RUN);
  addChainFlags(command)
    .option("--anyway", ANYWAY)
    .addOption(jsonOption("that it is finished"))
    .action(async (run: string, flags: Flags & { readonly anyway?: boolean }) => {
      const { finishRun } = await onChain(() => import("../onchain/pay.ts"));
      await finishRun(run, flags, flags.anyway ?? false);
      if (flags.json) printJson(io, { finished: true });
      else
        print(io, "Finished. Three challenge windows from now `pay reclaim` gives the rest back.");
      setExitCode(EXIT_OK);
    });
}

function addReclaim(pay: Command, io: Io, setExitCode: SetExitCode): void {
  const command = pay
    .command("reclaim")
    .description("give back to the run's owner what no settlement credits")
    .argument(...RUN);
  addChainFlags(command)
    .option("--anyway", ANYWAY)
    .addOption(jsonOption("what was given back, and what stays for its accounts"))
    .action(async (run: string, flags: Flags & { readonly anyway?: boolean }) => {
      const { reclaimRun } = await onChain(() => import("../onchain/pay.ts"));
      const taken = await reclaimRun(run, flags, flags.anyway ?? false);
      const { reclaimed, kept, token } = taken;
      const rest = kept === "0" ? "" : ` ${kept} ${token} stay there for whom they are due.`;
      if (flags.json) printJson(io, taken);
      else print(io, `${reclaimed} ${token} are back with the run's owner.${rest}`);
      setExitCode(EXIT_OK);
    });
}
