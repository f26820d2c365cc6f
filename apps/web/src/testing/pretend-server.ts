// The coordinator's real server in front of runs that never happened, and the built page beside it.
// Only for pictures and tests.
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import type { History, HistoryPoint } from "@manyhands/coordinator/history";
import type { HostedRun } from "@manyhands/coordinator/server/hosted-run";
import { startServer } from "@manyhands/coordinator/server/server";
import { RunTraffic } from "@manyhands/coordinator/server/traffic";
import type { SettlementDesk } from "@manyhands/coordinator/settlement-desk";
import { NO_TRAFFIC, type RunStatus, statusOf } from "@manyhands/coordinator/status";
import type { PretendRun } from "./pretend-run.ts";

export const GUEST_TOKEN = "a-guest-token";
export const OWNER_TOKEN = "an-owner-token";

export type Pretence = {
  readonly run: PretendRun;
  /** Changes the status that is told. */
  readonly status?: (status: RunStatus) => RunStatus;
  /** Tells so many rounds: those that there are, again and again. */
  readonly stretched?: number;
  /** Of these, so many are closed by now: for runs that go on. */
  readonly closed?: () => number;
  /** What is told of money. */
  readonly settlements?: SettlementDesk;
  /** Changes a row before it is told: for damaged logs. */
  readonly row?: (row: PretendRun["rows"][number]) => PretendRun["rows"][number];
};

export function statusOfPretence({ run, status = (one) => one }: Pretence): RunStatus {
  const doings = ["training", "training", "training", "uploading", "waiting"] as const;
  const heartbeats = run.workerIds.map((workerId, index) => {
    const doing = doings[index % doings.length] ?? "training";
    const innerStep = 3 + ((index * 5) % 12);
    const facts = { doing, innerStep, innerSteps: 16, tokensPerSecond: 900 + index * 371 };
    return [workerId, { type: "heartbeat", ...facts }] as const;
  });
  const perWorker = run.workerIds.map((workerId) => {
    const bytes = { bytesUp: run.history.points.length * 965_000, bytesDown: 8_900_000 };
    return [workerId, bytes] as const;
  });
  const total = perWorker.reduce(
    (sum, [, part]) => ({
      bytesUp: sum.bytesUp + part.bytesUp,
      bytesDown: sum.bytesDown + part.bytesDown,
    }),
    NO_TRAFFIC.total,
  );
  const live = {
    heartbeats: new Map(heartbeats),
    connected: new Set(run.workerIds),
    rejects: new Map<string, number>(),
    wish: null,
    trouble: null,
  };
  return status(statusOf(run.state, run.history, live, { total, workers: new Map(perWorker) }));
}

/** A long run's rounds, its loss falling slowly, out of a short one's. */
function stretchedHistory({ history }: PretendRun, rounds: number | undefined): History {
  const { points } = history;
  const last = points.at(-1);
  if (rounds === undefined || !last) return history;
  const stretched = Array.from({ length: rounds }, (_, round): HistoryPoint => {
    const again = Math.floor(round / points.length);
    const point = points[round % points.length] ?? last;
    const loss = 1.4 + 4 / (1 + round / 200) + 0.03 * (((round * 7_919) % 100) / 100);
    return {
      ...point,
      round,
      openedAt: point.openedAt + again * last.closedAt,
      closedAt: point.closedAt + again * last.closedAt,
      tokensBefore: point.tokensBefore + again * last.tokens,
      tokens: point.tokens + again * last.tokens,
      trainLoss: loss,
      evaluationLoss: round % 10 === 0 ? loss + 0.06 : null,
    };
  });
  return { ...history, points: stretched };
}

/** What the routes read of a run, without a coordinator behind it. */
function hosted(pretence: Pretence): HostedRun {
  const { run, row = (one) => one } = pretence;
  const { stretched, closed } = pretence;
  const history = stretchedHistory(run, stretched);
  const core = {
    status: () => {
      const status = statusOfPretence(pretence);
      return closed ? { ...status, round: closed() } : status;
    },
    get history(): History {
      return closed ? { ...history, points: history.points.slice(0, closed()) } : history;
    },
    state: run.state,
    closedRows: run.closedRows,
    closedRounds: () => [],
    countReject: () => undefined,
    workerOfSession: () => null,
    pause: () => undefined,
    resume: () => undefined,
    stop: () => undefined,
  };
  const log = {
    rows: (from: number, limit: number) => run.rows.slice(from, from + limit).map(row),
    head: () => ({ length: run.rows.length, head: run.rows.at(-1)?.head ?? "" }),
    sideValue: () => null,
  };
  return {
    core: core as never,
    log,
    blobs: {} as never,
    admissionToken: GUEST_TOKEN,
    ownerToken: OWNER_TOKEN,
    traffic: new RunTraffic(),
    exportFolder: "",
    settlements: pretence.settlements ?? null,
  };
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".wasm": "application/wasm",
};

export type PretendServer = { readonly url: string; close(): Promise<void> };

export async function startPretendServer(
  pretences: readonly Pretence[],
  dist: string,
): Promise<PretendServer> {
  const runs = new Map(pretences.map((one) => [one.run.runId, hosted(one)]));
  const api = await startServer({
    runs,
    host: "127.0.0.1",
    port: 0,
    now: () => performance.now(),
  });
  const server = createServer((request, response) => {
    const wantsPage = request.headers.accept?.includes("text/html") ?? false;
    if (!wantsPage && request.url?.startsWith("/runs")) void forward(api.url, request, response);
    else serveFile(dist, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await api.close();
    },
  };
}

async function forward(
  apiUrl: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { authorization } = request.headers;
  const answer = await fetch(`${apiUrl}${request.url}`, {
    method: request.method ?? "GET",
    headers: authorization ? { authorization } : {},
  });
  response.writeHead(answer.status, {
    "content-type": answer.headers.get("content-type") ?? "application/json",
  });
  response.end(Buffer.from(await answer.arrayBuffer()));
}

const POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "style-src-attr 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "worker-src 'self' blob:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join("; ");

function serveFile(dist: string, request: IncomingMessage, response: ServerResponse): void {
  const path = normalize(new URL(request.url ?? "/", "http://x").pathname);
  const name = extname(path) === "" ? "/index.html" : path;
  try {
    const bytes = readFileSync(join(dist, name));
    response.writeHead(200, {
      "content-type": TYPES[extname(name)] ?? "application/octet-stream",
      "content-security-policy": POLICY,
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
    });
    response.end(bytes);
  } catch {
    // No such file: the test sees a 404, as a visitor would.
    response.writeHead(404).end();
  }
}
