// `manyhands demo`: Shakespeare, four workers, five minutes. What `npm start` runs.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "@manyhands/base/errors";
import type { Command } from "commander";
import { EXIT_CODES_HELP } from "../exit-codes.ts";
import type { Io } from "../terminal/io.ts";
import { hostCommand } from "./host-command.ts";
import { addHostOptions, exampleText, type HostFlags } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const HELP = `
The run file is examples/shakespeare/run.yaml. It ends by itself; the result is in runs/<run id>/.
An interrupted demo is continued. A finished one is trained once more, in runs/<run id>-2 and so on;
with --out DIR, in DIR, then DIR-2.`;

export function addDemo(program: Command, io: Io, setExitCode: SetExitCode): void {
  const command = program
    .command("demo")
    .description("train a small model on Shakespeare with workers on this machine");
  addHostOptions(command, { localWorkers: true })
    .addHelpText("after", HELP)
    .addHelpText("after", exampleText(["npx manyhands demo --workers 2 --tokens 500000 --seed 7"]))
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (flags: HostFlags) => {
      setExitCode(
        await hostCommand({
          runFile: demoRunFile(),
          flags,
          again: true,
          localWorkers: "from-file",
          defaultHost: "127.0.0.1",
          io,
        }),
      );
    });
}

/** The example in the checkout that this file is part of. */
function demoRunFile(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    const file = join(folder, "examples", "shakespeare", "run.yaml");
    if (existsSync(file)) return file;
    if (folder === dirname(folder)) break;
  }
  throw new InputError("the demo's run file is not here: this copy of Manyhands came without it", {
    hint: "Run the demo in the project's folder, or give a run file to `manyhands run`.",
  });
}
