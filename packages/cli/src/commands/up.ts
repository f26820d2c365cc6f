// `manyhands up <run.yaml>`: the coordinator alone, for workers on other machines.
import type { Command } from "commander";
import { EXIT_CODES_HELP } from "../exit-codes.ts";
import type { Io } from "../terminal/io.ts";
import { hostCommand } from "./host-command.ts";
import { addHostOptions, exampleText, type HostFlags } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const HELP = `
It listens on all addresses of this machine unless --host says otherwise, prints the line that
others join with, and measures and exports the model when the run ends. Nobody joins without the
token that is in that line.

With --lan phones in the same Wi-Fi can open it too: it then also answers over HTTPS, which
browsers ask for before they let a page compute, and shows a code to scan. The certificate is this
machine's own, so a phone warns about it once; the README says what that means.`;

export function addUp(program: Command, io: Io, setExitCode: SetExitCode): void {
  const command = program
    .command("up")
    .description("open a run for workers on other machines")
    .argument("<run.yaml>", "the run file, or a folder that has a run.yaml");
  addHostOptions(command, { localWorkers: false })
    .option("--lan", "answer over HTTPS too, and show a code for phones in this network")
    .addHelpText("after", HELP)
    .addHelpText(
      "after",
      exampleText(["npx manyhands up examples/shakespeare/run.yaml --port 7433"]),
    )
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (runFile: string, flags: HostFlags) => {
      setExitCode(
        await hostCommand({
          runFile,
          flags,
          again: flags.again ?? false,
          localWorkers: "none",
          lan: flags.lan ?? false,
          defaultHost: "0.0.0.0",
          io,
        }),
      );
    });
}
