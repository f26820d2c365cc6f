// Rows of the log for the list, in pages, fetched when they come into view.
import type { LogRow } from "@manyhands/coordinator/log/log";
import { useCallback, useEffect, useRef, useState } from "react";
import { askRows } from "../../feed/follow.ts";

const PAGE_ROWS = 128;
const PAGES_KEPT = 40;

export type Rows = {
  /** A row; null while it is on its way. */
  readonly row: (sequence: number) => LogRow | null;
};

export function useRows(runId: string, token: string | null): Rows {
  const pages = useRef(new Map<number, readonly LogRow[] | "asked">());
  const [, setVersion] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another run has other rows
  useEffect(() => {
    pages.current = new Map();
  }, [runId, token]);
  const fetchPage = useCallback(
    async (page: number) => {
      const mine = pages.current;
      mine.set(page, "asked");
      const rows = await askRows({ runId, token, from: page * PAGE_ROWS, limit: PAGE_ROWS });
      // A page that is not full yet is asked for again when it is looked at again.
      if (!rows.ok) mine.delete(page);
      else mine.set(page, rows.value);
      if (mine.size > PAGES_KEPT) {
        const [oldest] = mine.keys();
        if (oldest !== undefined && oldest !== page) mine.delete(oldest);
      }
      setVersion((version) => version + 1);
    },
    [runId, token],
  );
  const row = (sequence: number): LogRow | null => {
    const page = Math.floor(sequence / PAGE_ROWS);
    const known = pages.current.get(page);
    const found = Array.isArray(known) ? known[sequence - page * PAGE_ROWS] : undefined;
    if (found) return found;
    const isStale = Array.isArray(known) && known.length < PAGE_ROWS;
    if (known === undefined || isStale) void Promise.resolve().then(() => fetchPage(page));
    return null;
  };
  return { row };
}
