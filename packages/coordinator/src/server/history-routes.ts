// What watchers of a run ask beyond its status: the closed rounds as columns, and which states are
// stored. docs/spec/05-http.md §5.2. Not for workers: they follow `welcome` and the rounds.
import type { FastifyInstance } from "fastify";
import { type Checkpoint, loadCheckpoints } from "../core/checkpoints.ts";
import type { HistoryPoint } from "../history.ts";
import type { HostedRun } from "./hosted-run.ts";
import { COLUMNS_PER_ANSWER } from "./limits.ts";
import { type PageQuery, pageOf, refusePage } from "./paging.ts";
import type { RunGate } from "./run-gate.ts";

type RunParams = { readonly id: string };

/** Losses are told to a hundred-thousandth of a nat: a long run's answer is a third shorter. */
const LOSS_DIGITS = 1e5;

export function addHistoryRoutes(app: FastifyInstance, gate: RunGate): void {
  app.get<{ Params: RunParams; Querystring: PageQuery }>("/runs/:id/history", (request, reply) => {
    const run = gate.run(request, reply);
    if (!run) return reply;
    const page = pageOf(request.query, COLUMNS_PER_ANSWER);
    if (!page) return refusePage(reply);
    return { rows: run.log.head().length, columns: columnsOf(run.core, page) };
  });

  app.get<{ Params: RunParams }>("/runs/:id/checkpoints", (request, reply) => {
    const entered = gate.enter(request, reply, ["owner", "guest", "worker"]);
    if (!entered) return reply;
    return loadCheckpoints(entered.run.log).map(storedState);
  });
}

function storedState({ rounds, weights, byteLength, stateRoot }: Checkpoint): {
  readonly rounds: number;
  readonly root: string;
  readonly byteLength: number;
  readonly stateRoot: string;
} {
  return { rounds, root: weights, byteLength, stateRoot };
}

function columnsOf(
  core: Pick<HostedRun["core"], "history" | "closedRows">,
  { from, limit }: { readonly from: number; readonly limit: number },
): { readonly [name: string]: readonly (number | null)[] } {
  const { points } = core.history;
  // Only the newest points are kept: an older `from` begins with the oldest.
  const at = Math.max(0, from - (points[0]?.round ?? 0));
  const told = points.slice(at, at + limit);
  const column = (of: (point: HistoryPoint) => number | null) => told.map(of);
  return {
    round: column(({ round }) => round),
    openedAt: column(({ openedAt }) => openedAt),
    closedAt: column(({ closedAt }) => closedAt),
    tokensBefore: column(({ tokensBefore }) => tokensBefore),
    tokens: column(({ tokens }) => tokens),
    trainLoss: column(({ trainLoss }) => shortLoss(trainLoss)),
    evaluationLoss: column(({ evaluationLoss }) => shortLoss(evaluationLoss)),
    contributors: column(({ contributors }) => contributors),
    late: column(({ late }) => late),
    updateBytes: column(({ updateBytes }) => updateBytes),
    aggregateBytes: column(({ aggregateBytes }) => aggregateBytes),
    closedRow: column(({ round }) => core.closedRows[round] ?? null),
  };
}

function shortLoss(loss: number | null): number | null {
  return loss === null ? null : Math.round(loss * LOSS_DIGITS) / LOSS_DIGITS;
}
