// Runs over HTTP: the list, the status, the log, the closed rounds, and the owner's three wishes.
// docs/spec/05-http.md §5.2.
import type { FastifyInstance } from "fastify";
import type { HostedRun } from "./hosted-run.ts";
import { ROUNDS_PER_ANSWER, ROWS_PER_ANSWER } from "./limits.ts";
import { type PageQuery, pageOf, refusePage } from "./paging.ts";
import type { RunGate } from "./run-gate.ts";
import type { TrafficMeter } from "./traffic.ts";

type RunParams = { readonly id: string };

export type RunRoutesParts = {
  readonly runs: ReadonlyMap<string, HostedRun>;
  readonly gate: RunGate;
  readonly meter: TrafficMeter;
};

export function addRunRoutes(app: FastifyInstance, { runs, gate, meter }: RunRoutesParts): void {
  app.get("/runs", () => [...runs.values()].map(({ core }) => summaryOf(core.status())));

  app.get<{ Params: RunParams }>("/runs/:id", (request, reply) => {
    const run = gate.run(request, reply);
    if (!run) return reply;
    meter.settleAll();
    return run.core.status(run.traffic.totals());
  });

  app.get<{ Params: RunParams; Querystring: PageQuery }>("/runs/:id/log", (request, reply) => {
    const entered = gate.enter(request, reply, ["owner", "guest", "worker"]);
    if (!entered) return reply;
    const page = pageOf(request.query, ROWS_PER_ANSWER);
    if (!page) return refusePage(reply);
    const rows = entered.run.log.rows(page.from, page.limit);
    reply.type("application/x-ndjson; charset=utf-8");
    return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  });

  app.get<{ Params: RunParams; Querystring: PageQuery }>("/runs/:id/rounds", (request, reply) => {
    const entered = gate.enter(request, reply, ["owner", "guest", "worker"]);
    if (!entered) return reply;
    const page = pageOf(request.query, ROUNDS_PER_ANSWER);
    return page ? entered.run.core.closedRounds(page.from, page.limit) : refusePage(reply);
  });

  for (const wish of ["pause", "resume", "stop"] as const) {
    app.post<{ Params: RunParams }>(`/runs/:id/${wish}`, (request, reply) => {
      const entered = gate.enter(request, reply, ["owner"]);
      if (!entered) return reply;
      const { core } = entered.run;
      core[wish]();
      return summaryOf(core.status());
    });
  }
}

function summaryOf(status: ReturnType<HostedRun["core"]["status"]>): {
  readonly runId: string;
  readonly name: string;
  readonly phase: string;
  readonly round: number;
  readonly position: number;
  readonly wish: string | null;
} {
  const { runId, name, phase, round, position, wish } = status;
  return { runId, name, phase, round, position, wish };
}
