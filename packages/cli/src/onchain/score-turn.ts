// A validator's side of one window: what can be done now, and what has to be remembered for it.
// The coordinator is not trusted: each window is committed to once, and revealed once.
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Decoded,
  flag,
  hex,
  integer,
  list,
  nullable,
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
import type { JoinUrl } from "@manyhands/worker/host/join-url";
import { replaceFile } from "@manyhands/worker/node/atomic-file";
import type { PrivateKeyAccount } from "viem/accounts";
import { accountHex } from "../pay/account.ts";
import { scoresFor } from "../pay/scores-file.ts";
import { ask } from "./run-http.ts";

/**
 * committed, revealed: done now · waits: for others · late: sealed without ours · lost: what was
 * committed to is not here · missed: closed without our reveal · changed: the coordinator shows
 * other commitments than those that we revealed with, or a window again that was closed.
 */
export type ScoreDone = "committed" | "revealed" | "waits" | "late" | "lost" | "missed" | "changed";

const accounts = list(text(42), { max: VALIDATORS_MAX });
export const entriesDecoder = list(
  object({
    window: integer(0),
    lastRound: integer(0),
    phase: oneOf("commit", "reveal", "closed"),
    committed: accounts,
    revealed: accounts,
  }),
  { max: 4_096 },
);
export type ScoreEntry = Decoded<typeof entriesDecoder>[number];

const keptFields = object({
  form: oneOf("manyhands scores 1"),
  run: hex(32),
  window: integer(0),
  lastRound: integer(0),
  scores: scoresDecoder,
  salt: hex(32),
  /** What was revealed with; null before. */
  seal: nullable(hex(32)),
  isOver: flag,
});
type Kept = Decoded<typeof keptFields>;

/** A validator, and the run that it looks at. */
export type ScoreTurn = {
  readonly url: JoinUrl;
  readonly wallet: PrivateKeyAccount;
  /** What the person says; null: accepted tokens are the scores. */
  readonly file: ReadonlyMap<string, number> | null;
  readonly folder: string;
  readonly terms: ScoreTerms;
};

/** @param ended the window by the log, if it has ended there and is not settled */
export async function scoreWindow(
  turn: ScoreTurn,
  entry: ScoreEntry,
  ended: EndedWindow | undefined,
): Promise<ScoreDone | null> {
  const own = (accounts: readonly string[]): boolean => accounts.includes(turn.wallet.address);
  const kept = await keptOf(turn, entry);
  if (entry.phase === "closed") {
    if (!kept || kept.isOver) return null;
    // Not removed: a window that is shown as open again would be committed to a second time.
    await keep(turn, { ...kept, scores: [], isOver: true });
    return own(entry.committed) && !own(entry.revealed) ? "missed" : null;
  }
  if (kept?.isOver) return "changed";
  if (entry.phase === "commit") {
    if (kept?.seal) return "changed";
    // The log was read after the list: a window that is listed has ended in it, and there.
    if (own(entry.committed) || ended?.lastRound !== entry.lastRound) return "waits";
    await commit(turn, entry, kept ?? freshOf(turn, entry, ended.accepted));
    return "committed";
  }
  if (own(entry.revealed)) return "waits";
  if (!own(entry.committed)) return "late";
  return kept ? reveal(turn, entry, kept) : "lost";
}

function freshOf(
  { terms, file }: ScoreTurn,
  { window, lastRound }: ScoreEntry,
  accepted: ReadonlyMap<string, number>,
): Kept {
  return {
    ...{ form: "manyhands scores 1", run: terms.runId, window, lastRound },
    ...{ scores: scoresFor(accepted, file), salt: randomBytes(32).toString("hex") },
    ...{ seal: null, isOver: false },
  };
}

/** Kept first: what was committed to and is not there any more can never be revealed. */
async function commit(turn: ScoreTurn, entry: ScoreEntry, kept: Kept): Promise<void> {
  const { terms, wallet } = turn;
  const validator = accountHex(wallet.address);
  await keep(turn, kept);
  const place = placeOf(terms, entry);
  const commitment = commitmentOf(place, { validator, ...kept });
  const typed = commitTypedData(place, { validator, commitment });
  const signature = (await wallet.signTypedData(typed)).slice(2);
  await post(turn, `${entry.window}/commits`, { validator, commitment, signature });
}

/**
 * Once: whoever could get it for one set of commitments, and then for another, could let somebody
 * commit in between who has seen these scores.
 */
async function reveal(turn: ScoreTurn, entry: ScoreEntry, kept: Kept): Promise<ScoreDone> {
  const { terms, wallet } = turn;
  const validator = accountHex(wallet.address);
  const { window } = entry;
  const place = placeOf(terms, entry);
  const { scores, salt } = kept;
  const commitment = commitmentOf(place, { validator, scores, salt });
  const { commits } = await transcriptAt(turn, window);
  const own = commits.find((one) => one.validator === validator);
  if (own?.commitment !== commitment) return "lost";
  const seal = sealOf(place, commits);
  if (kept.seal !== null && kept.seal !== seal) return "changed";
  await keep(turn, { ...kept, seal });
  const typed = revealTypedData(place, { validator, commitment }, seal);
  const signature = (await wallet.signTypedData(typed)).slice(2);
  await post(turn, `${window}/reveals`, { validator, scores, salt, signature });
  return "revealed";
}

async function transcriptAt({ url }: ScoreTurn, window: number): Promise<Transcript> {
  const found: unknown = await (await ask(`${url.runUrl}/scores/${window}`, url.token)).json();
  const decoded = transcriptDecoder(found);
  if (decoded.ok) return decoded.value;
  throw new InputError(`the coordinator's window ${window} is none: ${problemText(decoded.error)}`);
}

async function post({ url }: ScoreTurn, path: string, body: unknown): Promise<void> {
  const init = { method: "POST", body: JSON.stringify(body) };
  await ask(`${url.runUrl}/scores/${path}`, url.token, init);
}

async function keep(turn: ScoreTurn, kept: Kept): Promise<void> {
  await replaceFile(keptPath(turn, kept.window), [Buffer.from(`${JSON.stringify(kept)}\n`)]);
}

function keptPath({ folder, terms, wallet }: ScoreTurn, window: number): string {
  const validator = accountHex(wallet.address);
  return join(folder, terms.runId, `${validator}-${window}.json`);
}

async function keptOf(turn: ScoreTurn, { window, lastRound }: ScoreEntry): Promise<Kept | null> {
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
