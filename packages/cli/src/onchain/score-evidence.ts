// Where what validators said of a run is read from: its folder, or a coordinator's bundles.
// Not whether it holds: pay-log.ts checks it against the log.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { NO_EVIDENCE, ScoreEvidence } from "@manyhands/chain/scores/evidence";
import { knownOf } from "@manyhands/chain/scores/score-keeper";
import { ScoreStore } from "@manyhands/chain/scores/score-store";
import { Journal } from "@manyhands/chain/settle/journal";
import { type Bundle, bundleDecoder } from "@manyhands/chain/settle/ledger";
import { bundleOf } from "@manyhands/chain/settle/settler";
import type { JoinUrl } from "@manyhands/worker/host/join-url";
import { CommandError } from "../terminal/failure.ts";
import { journalPath } from "./open-chain.ts";
import { ask } from "./run-http.ts";

/** Beside the log: what was said of the run's windows. */
export function scoresPath(folder: string): string {
  return join(folder, "scores.sqlite");
}

/** @throws JournalError */
export function evidenceIn(folder: string): ScoreEvidence {
  if (!existsSync(scoresPath(folder))) return NO_EVIDENCE;
  const store = ScoreStore.open(scoresPath(folder));
  try {
    return new ScoreEvidence(knownOf(store.windows()), bundlesIn(folder));
  } finally {
    store.close();
  }
}

function bundlesIn(folder: string): readonly Bundle[] {
  if (!existsSync(journalPath(folder))) return [];
  const journal = Journal.beside(journalPath(folder));
  try {
    return journal.settlements().map(bundleOf);
  } finally {
    journal.close();
  }
}

/** @throws CommandError if the coordinator does not answer, or its bundles do not go together */
export async function evidenceOver({ runUrl, token }: JoinUrl): Promise<ScoreEvidence> {
  const at = `${runUrl}/settlements`;
  const list: unknown = await (await ask(at, token)).json();
  const bundles: Bundle[] = [];
  for (let sequence = 1; sequence <= (Array.isArray(list) ? list.length : 0); sequence++) {
    const found: unknown = await (await ask(`${at}/${sequence}`, token)).json();
    const decoded = bundleDecoder(found);
    if (!decoded.ok) throw new CommandError(`settlement ${sequence} is no settlement`);
    bundles.push(decoded.value);
  }
  const evidence = ScoreEvidence.ofBundles(bundles);
  if (evidence.ok) return evidence.value;
  throw new CommandError(`not signed: ${evidence.error}`, {
    hint: "Scores that were paid for are never revised. Ask the run's owner before anything else.",
  });
}
