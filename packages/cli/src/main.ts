// The `manyhands` command: one subcommand per file of commands/. Nothing but wiring here.
import { Command, CommanderError } from "commander";
import { addAttest } from "./commands/attest.ts";
import { addChain } from "./commands/chain.ts";
import { addDemo } from "./commands/demo.ts";
import { addExport } from "./commands/export.ts";
import { addFetch } from "./commands/fetch.ts";
import { addFinetune } from "./commands/finetune.ts";
import { addGguf } from "./commands/gguf.ts";
import { addHost } from "./commands/host.ts";
import { addJoin } from "./commands/join.ts";
import { addMerge } from "./commands/merge.ts";
import { addPay } from "./commands/pay.ts";
import { addRun } from "./commands/run.ts";
import { addSample } from "./commands/sample.ts";
import { addScore } from "./commands/score.ts";
import { addStatus } from "./commands/status.ts";
import { addUp } from "./commands/up.ts";
import { addVerify } from "./commands/verify.ts";
import { EXIT_CODES_HELP, EXIT_FAILED, EXIT_INPUT, EXIT_OK } from "./exit-codes.ts";
import { reportFailure } from "./terminal/failure.ts";
import { type Io, processIo } from "./terminal/io.ts";
import { VERSION } from "./version.ts";

/** Runs this process's command line and sets its exit code. */
export async function start(): Promise<void> {
  const io = processIo();
  // A bug that no command caught: say it in a sentence, as every other failure.
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (caught: unknown) => {
      reportFailure(io, caught);
      process.exit(EXIT_FAILED);
    });
  }
  process.exitCode = await runCommand(process.argv.slice(2), io);
}

/** @returns the exit code */
export async function runCommand(words: readonly string[], io: Io): Promise<number> {
  let exitCode = EXIT_OK;
  const program = buildProgram(io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...words], { from: "user" });
    return exitCode;
  } catch (caught) {
    // Commander has already written what is wrong, or the help that was asked for.
    if (caught instanceof CommanderError) return caught.exitCode === 0 ? EXIT_OK : EXIT_INPUT;
    return reportFailure(io, caught);
  }
}

function buildProgram(io: Io, setExitCode: (code: number) => void): Command {
  const program = new Command("manyhands")
    .description("Many hands train one model: a swarm of ordinary devices, one run.")
    .version(VERSION)
    .showHelpAfterError("Add --help to see what this command takes.")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) =>
        write(text.replace(/^error: /, io.errorPaint.red("manyhands: "))),
    })
    .addHelpText("after", EXIT_CODES_HELP);
  // Subcommands inherit what is configured above.
  for (const add of [
    addDemo,
    addRun,
    addUp,
    addHost,
    addJoin,
    addStatus,
    addVerify,
    addExport,
    addSample,
    addFetch,
    addFinetune,
    addMerge,
    addGguf,
    addChain,
    addPay,
    addAttest,
    addScore,
  ]) {
    add(program, io, setExitCode);
  }
  return program;
}
