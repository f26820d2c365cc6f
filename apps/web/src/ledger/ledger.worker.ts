// The checking thread: reads the log page by page, checks it, and tells how far it is.
import { askRows } from "../feed/follow.ts";
import { askJson } from "../feed/http.ts";
import type { HistoryAnswer } from "../feed/run-view.ts";
import { LogCheck } from "./check-log.ts";
import type { LedgerNews, LedgerOrder } from "./ledger-news.ts";
import { claimVerifier } from "./signatures.ts";

const ROWS_PER_QUESTION = 512;

let current: LedgerOrder | null = null;

function tell(news: LedgerNews): void {
  self.postMessage(news);
}

async function checkAll(order: LedgerOrder): Promise<void> {
  const { runId, token } = order;
  const startedAt = performance.now();
  const check = new LogCheck(runId, await claimVerifier());
  const length = await askJson<HistoryAnswer>(`/runs/${runId}/history?limit=0`);
  if (!length.ok) return tell({ kind: "trouble", trouble: length.error });
  const total = length.value.rows;
  while (current === order) {
    const { rows: from, damage } = check.findings;
    const ms = performance.now() - startedAt;
    if (damage !== null || from >= total) {
      return tell({ kind: "done", findings: check.findings, total, ms });
    }
    tell({ kind: "progress", rows: from, total });
    const limit = Math.min(ROWS_PER_QUESTION, total - from);
    const rows = await askRows({ runId, token, from, limit });
    if (!rows.ok) return tell({ kind: "trouble", trouble: rows.error });
    if (rows.value.length === 0) {
      return tell({ kind: "done", findings: check.findings, total, ms });
    }
    await check.take(rows.value);
  }
}

self.onmessage = ({ data }: MessageEvent<LedgerOrder | null>) => {
  current = data;
  if (data) void checkAll(data);
};
