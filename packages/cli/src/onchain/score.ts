// What `manyhands score` does: whatever a validator can do now for a run's open windows, after it
// has checked the run's log. One window is score-turn.ts's.
import { homedir } from "node:os";
import { join } from "node:path";
import { problemText } from "@manyhands/base/decode";
import { InputError } from "@manyhands/base/errors";
import { type JoinUrl, parseJoinUrl } from "@manyhands/worker/host/join-url";
import { accountHex } from "../pay/account.ts";
import { readScores } from "../pay/scores-file.ts";
import { CommandError } from "../terminal/failure.ts";
import { readKey } from "./open-chain.ts";
import { fetchPayLog } from "./pay-log.ts";
import { ask } from "./run-http.ts";
import { entriesDecoder, type ScoreDone, type ScoreEntry, scoreWindow } from "./score-turn.ts";

export type ScoreFlags = {
  readonly key?: string;
  /** A file of scores by worker id. */
  readonly scores?: string;
  /** Where scores and salts are kept until they are revealed. */
  readonly folder?: string;
};

export type Scored = {
  readonly validator: string;
  readonly windows: readonly { readonly window: number; readonly did: ScoreDone }[];
};

/**
 * The same, if anything is other than at the last look: a long log is read only then.
 *
 * @param seen what the last look saw; "" for none
 */
export async function scoreAfter(
  seen: string,
  given: string,
  flags: ScoreFlags,
): Promise<{ readonly seen: string; readonly scored: Scored | null }> {
  const now = JSON.stringify(await entriesOf(parseJoinUrl(given)));
  return { seen: now, scored: now === seen ? null : await scoreRun(given, flags) };
}

/** @throws InputError, CommandError */
export async function scoreRun(given: string, flags: ScoreFlags): Promise<Scored> {
  const wallet = await readKey(flags.key);
  const url = parseJoinUrl(given);
  const file = flags.scores === undefined ? null : await readScores(flags.scores);
  const entries = await entriesOf(url);
  const { runId, pay, book } = await fetchPayLog(url);
  if (runId !== url.runId) {
    throw new CommandError(`the coordinator's log is of run ${runId}, not of the one in the link`);
  }
  const validator = accountHex(wallet.address);
  const validators = pay.scores?.validators ?? [];
  if (!validators.some(({ account }) => account === validator)) {
    const hint = validators.length === 0 ? "In this run accepted tokens are what counts." : "";
    const message = `${wallet.address} is none of this run's validators`;
    throw new InputError(message, hint ? { hint } : {});
  }
  const folder = flags.folder ?? join(homedir(), ".manyhands", "scores");
  const turn = { url, wallet, file, folder, terms: { runId, pay } };
  const windows: { window: number; did: ScoreDone }[] = [];
  for (const entry of entries) {
    const ended = book.unscored.find(({ window }) => window === entry.window);
    const did = await scoreWindow(turn, entry, ended);
    if (did !== null) windows.push({ window: entry.window, did });
  }
  return { validator: wallet.address, windows };
}

async function entriesOf({ runUrl, token }: JoinUrl): Promise<readonly ScoreEntry[]> {
  const decoded = entriesDecoder(await (await ask(`${runUrl}/scores`, token)).json());
  if (decoded.ok) return decoded.value;
  throw new InputError(`the coordinator's windows are none: ${problemText(decoded.error)}`);
}
