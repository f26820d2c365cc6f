// Flags that several commands share, with the checks of their values.
import { type Command, InvalidArgumentError, Option } from "commander";
import { addBesideFlags, type BesideFlags } from "../pay/chain-flags.ts";
import { wholeNumber } from "./whole-number.ts";

/** Where the coordinator listens unless told otherwise; another free port if this one is taken. */
export const DEFAULT_PORT = 7433;

export type HostFlags = BesideFlags & {
  readonly workers?: number;
  readonly memory?: number;
  readonly tokens?: number;
  readonly minutes?: number;
  readonly seed?: number;
  readonly port?: number;
  readonly host?: string;
  readonly lan?: boolean;
  readonly out?: string;
  readonly again?: boolean;
  readonly json?: boolean;
};

function positiveNumber(max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !(value > 0) || value > max) {
      throw new InvalidArgumentError(`Expected a number above 0, at most ${max}.`);
    }
    return value;
  };
}

const MEMORY_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};

/** Bytes of `800MB`, `1.5 GiB` or `2g`. */
export function memorySize(text: string): number {
  const [, digits = "", unit = ""] = /^\s*([\d.]+)\s*([kmgt]?i?)b?\s*$/i.exec(text) ?? [];
  const value = Number(digits) * (MEMORY_UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (digits === "" || !(value >= 1) || value > Number.MAX_SAFE_INTEGER) {
    throw new InvalidArgumentError("Expected a size such as 800MB or 2GiB.");
  }
  return Math.floor(value);
}

/** The flags of demo, run and up. */
export function addHostOptions(command: Command, options: { localWorkers: boolean }): Command {
  if (options.localWorkers) {
    command
      .option("--workers <n>", "workers on this machine", wholeNumber(0, 256))
      .option(
        "--memory <size>",
        "what each of them may take (default: of what is free)",
        memorySize,
      );
  }
  return addBesideFlags(command)
    .option("--tokens <n>", "tokens to train on", wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option("--minutes <n>", "minutes of training at most", positiveNumber(1_000_000))
    .option("--seed <n>", "seed of the run", wholeNumber(0, Number.MAX_SAFE_INTEGER))
    .option("--port <n>", `port to listen on, 0 for any (default ${DEFAULT_PORT})`, portNumber)
    .option("--host <address>", "address to listen on")
    .option("--out <dir>", "the run's folder (default runs/<run id>)")
    .option("--again", "if the run is finished, train it once more in a new folder")
    .addOption(jsonOption("the summary as JSON on stdout"));
}

const portNumber = wholeNumber(0, 65_535);

export function jsonOption(what: string): Option {
  return new Option("--json", what);
}

/** An example and the exit codes below a command's help. */
export function exampleText(lines: readonly string[]): string {
  return `\nExample:\n${lines.map((line) => `  ${line}`).join("\n")}\n`;
}
