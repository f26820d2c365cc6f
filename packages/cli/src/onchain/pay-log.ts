// A run's accounts from its log: a folder's, or a coordinator's over HTTP. Every row is checked:
// chain, signatures of coordinator and workers, and the protocol. Weights are `verify`'s.

import { InputError, messageOf } from "@manyhands/base/errors";
import { type Bundle, type BundlePlace, PayLedger, totalOf } from "@manyhands/chain/settle/ledger";
import type { PayBook } from "@manyhands/chain/settle/pay-book";
import { rowsOf, soundRows } from "@manyhands/coordinator/core/ledger";
import { CorruptLogError } from "@manyhands/coordinator/errors";
import { verifySignature } from "@manyhands/coordinator/keys";
import type { LogRow } from "@manyhands/coordinator/log/log";
import { SqliteLogReader } from "@manyhands/coordinator/log/sqlite-log";
import { WorkerSignatures } from "@manyhands/coordinator/verify/worker-signatures";
import type { Pay } from "@manyhands/protocol/pay";
import type { RunState } from "@manyhands/protocol/state";
import type { JoinUrl } from "@manyhands/worker/host/join-url";
import { accountText } from "../pay/account.ts";
import type { ReportAccounts } from "../report/report-pay.ts";
import { runPaths } from "../run/run-folder.ts";
import { CommandError } from "../terminal/failure.ts";

export type PayLog = {
  readonly runId: string;
  readonly name: string;
  readonly pay: Pay;
  readonly roundsClosed: number;
  readonly book: PayBook;
  /** After the close of a round; null if nobody has earned anything by then. */
  readonly bundleAt: (round: number, place: BundlePlace) => Bundle | null;
  /** Of the newest round whose total is at most this. */
  readonly bundleWithin: (funded: bigint, place: BundlePlace) => Bundle | null;
};

/** @throws CorruptLogError, InputError for a run that pays nothing */
export function readPayLog(folder: string): PayLog {
  const reader = new SqliteLogReader(runPaths(folder).log);
  try {
    return payLogOf([...rowsOf(reader)]);
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
  };
}

/** @throws CommandError if the coordinator does not answer; as readPayLog */
export async function fetchPayLog({ runUrl, token }: JoinUrl): Promise<PayLog> {
  const rows: LogRow[] = [];
  for (;;) {
    const answer = await ask(`${runUrl}/log?from=${rows.length}`, token);
    const lines = (await answer.text()).split("\n").filter((line) => line !== "");
    rows.push(...lines.map(rowOf));
    if (lines.length === 0) return payLogOf(rows);
  }
}

/** With the run's token. @throws CommandError */
export async function ask(url: string, token: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, connection: "close" };
  const response = await fetch(url, { ...init, headers }).catch((cause: unknown) => {
    const hint = "Is the coordinator running, and can this machine reach it?";
    throw new CommandError(`no answer from ${url}: ${messageOf(cause)}`, { cause, hint });
  });
  if (response.ok) return response;
  const words = (await response.text()).slice(0, 500);
  throw new CommandError(`${url} answered with status ${response.status}: ${words}`);
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

type Folded = {
  readonly ledger: PayLedger;
  readonly state: RunState;
  /** By closed round: what everybody together had earned. */
  readonly totals: readonly bigint[];
};

function payLogOf(rows: readonly LogRow[]): PayLog {
  const { ledger, state, totals } = fold(rows, Number.POSITIVE_INFINITY);
  const { run, runId, roundsClosed } = state;
  const bundleAt = (round: number, place: BundlePlace): Bundle | null => {
    if (round < 0) return null;
    if (round === roundsClosed - 1) return ledger.bundle(state, place);
    const then = fold(rows, round);
    return then.ledger.bundle(then.state, place);
  };
  return {
    ...{ runId, roundsClosed, bundleAt, name: run.name, pay: payOf(state), book: ledger.book },
    bundleWithin: (funded, place) =>
      bundleAt(
        totals.findLastIndex((total) => total <= funded),
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

/** The log up to the close of a round. */
function fold(rows: readonly LogRow[], round: number): Folded {
  const signatures = new WorkerSignatures();
  const totals: bigint[] = [];
  let ledger: PayLedger | null = null;
  let state: RunState | null = null;
  for (const { row, event, next } of soundRows(rows, verifySignature)) {
    state = next.state;
    const problem = signatures.problem(state.runId, event);
    if (problem !== null) throw new CorruptLogError(row.sequence, problem);
    ledger ??= new PayLedger(payOf(state));
    ledger.advance(row, event, state);
    if (event.type !== "RoundClosed") continue;
    totals.push(totalOf(ledger.book.earned()));
    if (event.round >= round) break;
  }
  if (ledger && state) return { ledger, state, totals };
  throw new CommandError("the log is empty: the run has not begun");
}
