// A run's accounts from its log: a folder's, or a coordinator's over HTTP. Every row is checked:
// chain, signatures of coordinator and workers, and the protocol; where validators score, what they
// said too. Weights are `verify`'s.

import { InputError } from "@manyhands/base/errors";
import { evidenceProblem, NO_EVIDENCE, type ScoreEvidence } from "@manyhands/chain/scores/evidence";
import { type Bundle, type BundlePlace, PayLedger, totalOf } from "@manyhands/chain/settle/ledger";
import type { Ending } from "@manyhands/chain/settle/owner";
import type { PayBook } from "@manyhands/chain/settle/pay-book";
import { rowsOf, soundRows } from "@manyhands/coordinator/core/ledger";
import { CorruptLogError } from "@manyhands/coordinator/errors";
import { verifySignature } from "@manyhands/coordinator/keys";
import { decodeRow, type LogRow } from "@manyhands/coordinator/log/log";
import { SqliteLogReader } from "@manyhands/coordinator/log/sqlite-log";
import { WorkerSignatures } from "@manyhands/coordinator/verify/worker-signatures";
import type { Pay } from "@manyhands/protocol/pay";
import type { RunState } from "@manyhands/protocol/state";
import type { JoinUrl } from "@manyhands/worker/host/join-url";
import { accountText } from "../pay/account.ts";
import type { ReportAccounts } from "../report/report-pay.ts";
import { runPaths } from "../run/run-folder.ts";
import { CommandError } from "../terminal/failure.ts";
import { ask } from "./run-http.ts";
import { evidenceIn, evidenceOver } from "./score-evidence.ts";

export type PayLog = {
  readonly runId: string;
  readonly name: string;
  readonly pay: Pay;
  readonly roundsClosed: number;
  readonly isFinished: boolean;
  readonly book: PayBook;
  readonly ending: Ending;
  /** The log's head after so many rows; null if it has fewer. */
  readonly headAt: (rows: number) => string | null;
  /** After the close of a round; null if nobody has earned anything by then. */
  readonly bundleAt: (round: number, place: BundlePlace) => Bundle | null;
  /** Of the newest round whose total is at most this. */
  readonly bundleWithin: (funded: bigint, place: BundlePlace) => Bundle | null;
};

/** @throws CorruptLogError, InputError for a run that pays nothing */
export function readPayLog(folder: string): PayLog {
  const reader = new SqliteLogReader(runPaths(folder).log);
  try {
    return payLogOf([...rowsOf(reader)], evidenceIn(folder));
  } finally {
    reader.close();
  }
}

/** What everybody has earned by a folder's log. @throws as readPayLog */
export function earnedIn(folder: string): ReportAccounts {
  const { book } = readPayLog(folder);
  const { workers } = book;
  return {
    accounts: book.earned().map(({ account, cumulative }) => ({
      account: accountText(account),
      devices: workers.flatMap((one) => (one.account === account ? [one.name] : [])),
      units: cumulative,
    })),
    unnamed: workers.flatMap(({ name, unnamed }) =>
      unnamed > 0 ? [{ device: name, tokens: unnamed }] : [],
    ),
    unscored: workers.reduce((sum, one) => sum + one.unscored, 0),
  };
}

/** @throws CommandError if the coordinator does not answer; as readPayLog */
export async function fetchPayLog(url: JoinUrl): Promise<PayLog> {
  const { runUrl, token } = url;
  const rows: LogRow[] = [];
  for (;;) {
    const answer = await ask(`${runUrl}/log?from=${rows.length}`, token);
    const lines = (await answer.text()).split("\n").filter((line) => line !== "");
    rows.push(...lines.map(rowOf));
    if (lines.length > 0) continue;
    return payLogOf(rows, isScored(rows) ? await evidenceOver(url) : NO_EVIDENCE);
  }
}

function rowOf(line: string): LogRow {
  const { sequence, event, entry, previousHead, head, signature } = JSON.parse(line);
  return {
    sequence: Number(sequence),
    event: String(event),
    entry: String(entry),
    previousHead: String(previousHead),
    head: String(head),
    signature: String(signature),
  };
}

function isScored([first]: readonly LogRow[]): boolean {
  const event = first && decodeRow(first);
  return event?.ok === true && event.value.type === "RunCreated" && !!event.value.run.pay?.scores;
}

type Folded = {
  readonly ledger: PayLedger;
  readonly state: RunState;
  /** By closed round: what everybody together had earned; null where no settlement may end. */
  readonly totals: readonly (bigint | null)[];
};

function payLogOf(rows: readonly LogRow[], evidence: ScoreEvidence): PayLog {
  const { ledger, state, totals } = fold(rows, Number.POSITIVE_INFINITY, evidence);
  const { run, runId, roundsClosed } = state;
  const isFinished = state.phase === "finished";
  checkScores(state, evidence);
  const bundleAt = (round: number, place: BundlePlace): Bundle | null => {
    if (round < 0) return null;
    if (round === roundsClosed - 1) return ledger.bundle(state, place);
    const then = fold(rows, round, evidence);
    return then.ledger.bundle(then.state, place);
  };
  const { book } = ledger;
  return {
    ...{ runId, roundsClosed, isFinished, bundleAt, name: run.name, pay: payOf(state), book },
    ending: {
      weightsRoot: state.weightsRoot,
      isOver: state.phase === "finished",
      owed: totalOf(book.earned()),
    },
    headAt: (count) => rows[count - 1]?.head ?? null,
    bundleWithin: (funded, place) =>
      bundleAt(
        totals.findLastIndex((total) => total !== null && total <= funded),
        place,
      ),
  };
}

function payOf({ run }: RunState): Pay {
  if (run.pay) return run.pay;
  throw new InputError(`${run.name} pays nothing: its run file has no \`pay\``, {
    hint: "What a run pays is part of its id: it is written before the run begins.",
  });
}

/** Scores pay only as far as the evidence holds, by the run's terms and its log. */
function checkScores(state: RunState, evidence: ScoreEvidence): void {
  const { runId, roundsClosed, phase } = state;
  const end = { roundsClosed, isFinished: phase === "finished" };
  const problem = evidenceProblem({ runId, pay: payOf(state) }, evidence, end);
  if (problem === null) return;
  throw new CommandError(`the validators' scores do not hold: ${problem.message}`, {
    hint: "Nothing can be settled by them. Ask the run's owner before anything else.",
  });
}

/** The log up to the close of a round. */
function fold(rows: readonly LogRow[], round: number, evidence: ScoreEvidence): Folded {
  const signatures = new WorkerSignatures();
  const totals: (bigint | null)[] = [];
  let ledger: PayLedger | null = null;
  let state: RunState | null = null;
  for (const { row, event, next } of soundRows(rows, verifySignature)) {
    state = next.state;
    const problem = signatures.problem(state.runId, event);
    if (problem !== null) throw new CorruptLogError(row.sequence, problem);
    ledger ??= new PayLedger(payOf(state), evidence);
    ledger.advance(row, event, state);
    if (event.type !== "RoundClosed") continue;
    totals.push(ledger.canSettle ? totalOf(ledger.book.earned()) : null);
    if (event.round >= round) break;
  }
  if (ledger && state) return { ledger, state, totals };
  throw new CommandError("the log is empty: the run has not begun");
}
