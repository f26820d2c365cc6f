// The check of the whole log, as the screen sees it.
import { useCallback, useEffect, useRef, useState } from "react";
import type { LedgerNews, LedgerOrder } from "../../ledger/ledger-news.ts";
import { texts } from "../../texts.ts";

export type Check = {
  readonly news: LedgerNews | null;
  readonly isRunning: boolean;
  readonly start: () => void;
  readonly stop: () => void;
};

export function useCheck({ runId, token }: LedgerOrder): Check {
  const worker = useRef<Worker | null>(null);
  const [news, setNews] = useState<LedgerNews | null>(null);
  const [isRunning, setRunning] = useState(false);
  const end = useCallback(() => {
    worker.current?.terminate();
    worker.current = null;
    setRunning(false);
  }, []);
  useEffect(() => end, [end]);
  const start = useCallback(() => {
    end();
    const made = new Worker(new URL("../../ledger/ledger.worker.ts", import.meta.url), {
      type: "module",
    });
    worker.current = made;
    setRunning(true);
    setNews(null);
    made.onmessage = ({ data }: MessageEvent<LedgerNews>) => {
      setNews(data);
      if (data.kind !== "progress") end();
    };
    made.onerror = () => {
      setNews({ kind: "trouble", trouble: { kind: "away", message: texts.ledger.noThread } });
      end();
    };
    made.postMessage({ runId, token } satisfies LedgerOrder);
  }, [runId, token, end]);
  const stop = useCallback(() => {
    end();
    setNews(null);
  }, [end]);
  return { news, isRunning, start, stop };
}
