// `manyhands run <run.yaml>`: the coordinator and workers on this machine.
import type { Command } from "commander";
import { EXIT_CODES_HELP } from "../exit-codes.ts";
import type { Io } from "../terminal/io.ts";
import { hostCommand } from "./host-command.ts";
import { addHostOptions, exampleText, type HostFlags } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const HELP = `
The run's folder is runs/<run id>/ or --out DIR. The same command continues an interrupted run where
its log ends; for a finished one it shows the result (--again trains it once more). --tokens,
--minutes, --seed and --workers replace what the file says; the run's id follows from what is
used.`;

export function addRun(program: Command, io: Io, setExitCode: SetExitCode): void {
  const command = program
    .command("run")
    .description("train what a run file describes, with workers on this machine")
    .argument("<run.yaml>", "the run file, or a folder that has a run.yaml");
  addHostOptions(command, { localWorkers: true })
    .addHelpText("after", HELP)
    .addHelpText(
      "after",
      exampleText(["npx manyhands run examples/shakespeare/run.yaml --workers 2"]),
    )
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (runFile: string, flags: HostFlags) => {
      setExitCode(
        await hostCommand({
          runFile,
          flags,
          again: flags.again ?? false,
          localWorkers: "from-file",
          defaultHost: "127.0.0.1",
          io,
        }),
      );
    });
}
