// `manyhands score <url>`: a validator says how much of a window each worker has given.
import type { Command } from "commander";
import { EXIT_CODES_HELP, EXIT_OK } from "../exit-codes.ts";
import type { Scored, ScoreFlags } from "../onchain/score.ts";
import type { ScoreDone } from "../onchain/score-turn.ts";
import { onChain } from "../pay/chain-flags.ts";
import { again } from "../terminal/again.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { exampleText, jsonOption } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";
import { wholeNumber } from "./whole-number.ts";

const HELP = `
Where a run names validators (pay.scores in its file), their scores say how much of each window of
rounds is whose; what they agree on by half of their stakes is what is paid. First everybody commits
to scores without showing them, then all are revealed: so nobody can copy. Each call does what can
be done now; --every 60 looks every minute. The scores and their salt stay in the folder until they
are revealed, and without them nothing can be.

Without --scores a worker's score is its accepted tokens.`;

type Flags = ScoreFlags & { readonly every?: number; readonly json?: boolean };

export function addScore(program: Command, io: Io, setExitCode: SetExitCode): void {
  program
    .command("score")
    .description("as a validator: commit to scores of a run's workers, and reveal them")
    .argument("<url>", "the run's join address, with its token")
    .option("--key <file>", "a file with the validator's private key")
    .option("--scores <file>", 'JSON: {"<worker id>": 7, …}, whole numbers')
    .option("--folder <dir>", "where scores are kept until revealed (default ~/.manyhands/scores)")
    .option("--every <seconds>", "look again and again, until Ctrl-C", wholeNumber(1, 86_400))
    .addOption(jsonOption("what was done for each window"))
    .addHelpText("after", HELP)
    .addHelpText(
      "after",
      exampleText(["npx manyhands score 'http://192.168.1.5:7433/runs/3f…#5c…' --key mine.key"]),
    )
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (url: string, flags: Flags) => {
      if (flags.every === undefined) {
        const { scoreRun } = await onChain(() => import("../onchain/score.ts"));
        tell(await scoreRun(url, flags), flags, io);
      } else await scoreEvery(flags.every, url, { flags, io });
      setExitCode(EXIT_OK);
    });
}

/** What becomes of each window is said once. */
async function scoreEvery(
  seconds: number,
  url: string,
  { flags, io }: { readonly flags: Flags; readonly io: Io },
): Promise<void> {
  const { scoreAfter } = await onChain(() => import("../onchain/score.ts"));
  const told = new Set<string>();
  let seen = "";
  await again(seconds, io, async () => {
    const look = await scoreAfter(seen, url, flags);
    seen = look.seen;
    const windows = (look.scored?.windows ?? []).filter(({ window, did }) => {
      const isNew = did !== "waits" && !told.has(`${window} ${did}`);
      told.add(`${window} ${did}`);
      return isNew;
    });
    if (look.scored && windows.length > 0) tell({ ...look.scored, windows }, flags, io);
  });
}

function tell(scored: Scored, { json }: Flags, io: Io): void {
  if (json) printJson(io, scored);
  else print(io, scoredText(scored));
}

const WORDS: { readonly [K in ScoreDone]: string } = {
  committed: "committed to; come again when all have",
  revealed: "revealed",
  waits: "done; waits for the others",
  late: "sealed without yours: it was too late",
  lost: "not revealed: what was committed to is not in this folder",
  changed: "not said again: the coordinator shows other commitments than before",
  missed: "closed without your reveal: it counts as not said",
};

function scoredText({ windows }: Scored): string {
  if (windows.length === 0) return "No window waits for scores.";
  return windows.map(({ window, did }) => `Window ${window}: ${WORDS[did]}.`).join("\n");
}
