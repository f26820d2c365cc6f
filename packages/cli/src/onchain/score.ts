// What `manyhands score` does: whatever a validator can do now for a run's open windows. It commits
// to scores, keeping them and their salt first, and reveals them once the commitments are sealed.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import {
  type Decoded,
  hex,
  integer,
  list,
  object,
  oneOf,
  problemText,
  text,
} from "@manyhands/base/decode";
import { InputError } from "@manyhands/base/errors";
import {
  commitmentOf,
  commitTypedData,
  revealTypedData,
  scoresDecoder,
  sealOf,
  type Transcript,
  transcriptDecoder,
} from "@manyhands/chain/scores/messages";
import { placeOf, type ScoreTerms } from "@manyhands/chain/scores/score-window";
import type { EndedWindow } from "@manyhands/chain/scores/window-book";
import { VALIDATORS_MAX } from "@manyhands/protocol/limits";
import { type JoinUrl, parseJoinUrl } from "@manyhands/worker/host/join-url";
import { replaceFile } from "@manyhands/worker/node/atomic-file";
import type { PrivateKeyAccount } from "viem/accounts";
import { accountHex } from "../pay/account.ts";
import { readScores, scoresFor } from "../pay/scores-file.ts";
import { readKey } from "./open-chain.ts";
import { fetchPayLog } from "./pay-log.ts";
import { ask } from "./run-http.ts";

export type ScoreFlags = {
  readonly key?: string;
  /** A file of scores by worker id. */
  readonly scores?: string;
  /** Where scores and salts are kept until they are revealed. */
  readonly folder?: string;
};

/** committed, revealed: done now · waits: for others · late, closed: there is nothing to do. */
export type ScoreDone = "committed" | "revealed" | "waits" | "late" | "lost";
export type Scored = {
  readonly validator: string;
  readonly windows: readonly { readonly window: number; readonly did: ScoreDone }[];
};

const accounts = list(text(42), { max: VALIDATORS_MAX });
const entriesDecoder = list(
  object({
    window: integer(0),
    lastRound: integer(0),
    phase: oneOf("commit", "reveal", "closed"),
    committed: accounts,
    revealed: accounts,
  }),
  { max: 4_096 },
);
type ScoreEntry = Decoded<typeof entriesDecoder>[number];

const keptFields = object({
  form: oneOf("manyhands scores 1"),
  run: hex(32),
  window: integer(0),
  lastRound: integer(0),
  scores: scoresDecoder,
  salt: hex(32),
});
type Kept = Decoded<typeof keptFields>;

/** @throws InputError, CommandError */
export async function scoreRun(given: string, flags: ScoreFlags): Promise<Scored> {
  const wallet = await readKey(flags.key);
  const url = parseJoinUrl(given);
  const file = flags.scores === undefined ? null : await readScores(flags.scores);
  const entries = await entriesOf(url);
  const { runId, pay, book } = await fetchPayLog(url);
  const validator = accountHex(wallet.address);
  const validators = pay.scores?.validators ?? [];
  if (!validators.some(({ account }) => account === validator)) {
    const hint = validators.length === 0 ? "In this run accepted tokens are what counts." : "";
    const message = `${wallet.address} is none of this run's validators`;
    throw new InputError(message, hint ? { hint } : {});
  }
  const folder = flags.folder ?? join(homedir(), ".manyhands", "scores");
  const turn = { url, wallet, validator, file, folder, terms: { runId, pay } };
  const windows: { window: number; did: ScoreDone }[] = [];
  for (const entry of entries.filter(({ phase }) => phase !== "closed")) {
    const ended = book.unscored.find(({ window }) => window === entry.window);
    windows.push({ window: entry.window, did: await scoreWindow(turn, entry, ended) });
  }
  return { validator: wallet.address, windows };
}

async function entriesOf({ runUrl, token }: JoinUrl): Promise<readonly ScoreEntry[]> {
  const decoded = entriesDecoder(await (await ask(`${runUrl}/scores`, token)).json());
  if (decoded.ok) return decoded.value;
  throw new InputError(`the coordinator's windows are none: ${problemText(decoded.error)}`);
}

type Turn = {
  readonly url: JoinUrl;
  readonly wallet: PrivateKeyAccount;
  readonly validator: string;
  /** What the person says; null: accepted tokens are the scores. */
  readonly file: ReadonlyMap<string, number> | null;
  readonly folder: string;
  readonly terms: ScoreTerms;
};

async function scoreWindow(
  turn: Turn,
  entry: ScoreEntry,
  ended: EndedWindow | undefined,
): Promise<ScoreDone> {
  const own = (accounts: readonly string[]): boolean => accounts.includes(turn.wallet.address);
  if (entry.phase === "commit") {
    // The log was read after the list: a window that is listed has ended in it, and there.
    if (own(entry.committed) || ended?.lastRound !== entry.lastRound) return "waits";
    await commit(turn, entry, ended.accepted);
    return "committed";
  }
  if (own(entry.revealed)) return "waits";
  if (!own(entry.committed)) return "late";
  return (await reveal(turn, entry)) ? "revealed" : "lost";
}

/** Kept first: what was committed to and is not there any more can never be revealed. */
async function commit(
  turn: Turn,
  entry: ScoreEntry,
  accepted: ReadonlyMap<string, number>,
): Promise<void> {
  const { terms, validator, wallet } = turn;
  const { window, lastRound } = entry;
  const kept = (await keptOf(turn, entry)) ?? {
    ...{ form: "manyhands scores 1" as const, run: terms.runId, window, lastRound },
    scores: scoresFor(accepted, turn.file),
    salt: randomBytes(32).toString("hex"),
  };
  await replaceFile(keptPath(turn, window), [Buffer.from(`${JSON.stringify(kept)}\n`)]);
  const place = placeOf(terms, entry);
  const commitment = commitmentOf(place, { validator, ...kept });
  const typed = commitTypedData(place, { validator, commitment });
  const signature = (await wallet.signTypedData(typed)).slice(2);
  await post(turn, `${window}/commits`, { validator, commitment, signature });
}

/** @returns false if what was committed to is not here: it was elsewhere, or is lost */
async function reveal(turn: Turn, entry: ScoreEntry): Promise<boolean> {
  const { terms, validator, wallet } = turn;
  const { window } = entry;
  const kept = await keptOf(turn, entry);
  if (!kept) return false;
  const place = placeOf(terms, entry);
  const { scores, salt } = kept;
  const commitment = commitmentOf(place, { validator, scores, salt });
  const { commits } = await transcriptAt(turn, window);
  const own = commits.find((one) => one.validator === validator);
  if (own?.commitment !== commitment) return false;
  const seal = sealOf(place, commits);
  const typed = revealTypedData(place, { validator, commitment }, seal);
  const signature = (await wallet.signTypedData(typed)).slice(2);
  await post(turn, `${window}/reveals`, { validator, scores, salt, signature });
  return true;
}

async function transcriptAt({ url }: Turn, window: number): Promise<Transcript> {
  const found: unknown = await (await ask(`${url.runUrl}/scores/${window}`, url.token)).json();
  const decoded = transcriptDecoder(found);
  if (decoded.ok) return decoded.value;
  throw new InputError(`the coordinator's window ${window} is none: ${problemText(decoded.error)}`);
}

async function post({ url }: Turn, path: string, body: unknown): Promise<void> {
  const init = { method: "POST", body: JSON.stringify(body) };
  await ask(`${url.runUrl}/scores/${path}`, url.token, init);
}

function keptPath({ folder, terms, validator }: Turn, window: number): string {
  return join(folder, terms.runId, `${validator}-${window}.json`);
}

async function keptOf(turn: Turn, { window, lastRound }: ScoreEntry): Promise<Kept | null> {
  const path = keptPath(turn, window);
  const content = await readFile(path, "utf8").catch(() => null); // nothing is kept
  if (content === null) return null;
  const decoded = keptFields(jsonOf(content));
  if (decoded.ok && decoded.value.lastRound === lastRound) return decoded.value;
  throw new InputError(`${path} is not what was committed to`, {
    hint: "An earlier `manyhands score` wrote it. Without it the window goes on without you.",
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Whoever asked says what was expected.
    return null;
  }
}
