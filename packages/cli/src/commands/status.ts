// `manyhands status <url|run>`: how a run stands, from its coordinator or from its folder.

import { InputError, messageOf } from "@manyhands/base/errors";
import type { RunStatus } from "@manyhands/coordinator/status";
import type { Command } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import { readRun } from "../run/read-run.ts";
import { findRunFolder } from "../run/run-folder.ts";
import { CommandError } from "../terminal/failure.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { renderView } from "../view/render-view.ts";
import { exampleText, jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";

const TIMEOUT_MS = 10_000;
const PIPE_WIDTH = 100;

export function addStatus(program: Command, io: Io, setExitCode: SetExitCode): void {
  program
    .command("status")
    .description("show how a run stands")
    .argument("<url|run>", "a run's address, with or without its token, or its folder or id")
    .addOption(jsonOption("all of it as one JSON object"))
    .addHelpText(
      "after",
      exampleText([
        "npx manyhands status http://127.0.0.1:7433/runs/<run id>",
        "npx manyhands status runs/<run id> --json",
      ]),
    )
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (given: string, flags: { readonly json?: boolean }) => {
      const status = /^https?:/.test(given) ? await askCoordinator(given) : readStatus(given);
      if (flags.json) printJson(io, status);
      else print(io, statusText(status, given, io));
      setExitCode(EXIT_OK);
    });
}

function readStatus(given: string): RunStatus {
  return readRun(findRunFolder(given)).status;
}

/** The token in the fragment stays here: a run's status is open. */
async function askCoordinator(given: string): Promise<RunStatus> {
  const url = URL.parse(given);
  if (!url || !/\/runs\/[0-9a-f]{64}\/?$/.test(url.pathname)) {
    throw new InputError("this is not a run's address", {
      hint: "It looks like http://host:port/runs/<run id>.",
    });
  }
  url.hash = "";
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(
    (cause: unknown) => {
      throw new CommandError(`no answer from ${url.origin}: ${reasonOf(cause)}`, {
        cause,
        hint: "Is the coordinator running, and can this machine reach it?",
      });
    },
  );
  if (response.status === 404) {
    throw new InputError(`the coordinator at ${url.origin} has no such run`);
  }
  if (!response.ok) throw new CommandError(`${url.origin} answered with status ${response.status}`);
  return (await response.json()) as RunStatus;
}

/** What `fetch failed` hides: the socket's own words are in its cause. */
function reasonOf(caught: unknown): string {
  const inner = caught instanceof Error ? caught.cause : undefined;
  return messageOf(inner instanceof Error && inner.message !== "" ? inner : caught);
}

function statusText(status: RunStatus, place: string, io: Io): string {
  const width = io.stdout.columns ?? PIPE_WIDTH;
  const shownPlace = place.replace(/#.*$/, "");
  const view = {
    status,
    elapsedMs: status.tick,
    notice: shownPlace,
    localStates: new Map<string, string>(),
  };
  const height = Number.MAX_SAFE_INTEGER;
  return renderView(view, { width, height, paint: io.paint }).join("\n");
}
