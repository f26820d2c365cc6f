// The model's thread, as the screen sees it: one text per place, growing.
import { useCallback, useEffect, useRef, useState } from "react";
import type { Loading, ModelNews, ModelOrder, WriteOrder } from "../../model/model-news.ts";
import { texts } from "../../texts.ts";

export type Text = {
  readonly text: string;
  readonly rounds: number | null;
  readonly perSecond: number;
  readonly loading: Loading | null;
  readonly isWriting: boolean;
  readonly problem: string | null;
};

const NOTHING: Text = {
  text: "",
  rounds: null,
  perSecond: 0,
  loading: null,
  isWriting: false,
  problem: null,
};

/** Its script did not come: the page was kept, and this part of it was never used here. */
const NO_THREAD = { isWriting: false, loading: null, problem: texts.model.noThread } as const;

export type Model = {
  readonly texts: readonly Text[];
  readonly isBusy: boolean;
  readonly write: (orders: readonly WriteOrder[]) => void;
  readonly stop: () => void;
};

function withNews(text: Text, news: ModelNews): Text {
  switch (news.kind) {
    case "loading":
      return { ...text, loading: news.loading };
    case "began":
      return { ...text, loading: null, rounds: news.rounds };
    case "text":
      return { ...text, text: text.text + news.text, perSecond: news.perSecond };
    case "done":
      return { ...text, loading: null, isWriting: false };
    case "trouble":
      return { ...text, loading: null, isWriting: false, problem: news.message };
  }
}

export function useModel(): Model {
  const worker = useRef<Worker | null>(null);
  const [written, setTexts] = useState<readonly Text[]>([]);
  useEffect(
    () => () => {
      worker.current?.terminate();
      worker.current = null;
    },
    [],
  );
  const order = useCallback((data: ModelOrder) => {
    if (!worker.current) {
      const made = new Worker(new URL("../../model/model.worker.ts", import.meta.url), {
        type: "module",
      });
      made.onmessage = ({ data: news }: MessageEvent<ModelNews>) => {
        setTexts((all) => all.map((one, at) => (at === news.place ? withNews(one, news) : one)));
      };
      made.onerror = () => {
        worker.current = null;
        setTexts((all) => all.map((one) => (one.isWriting ? { ...one, ...NO_THREAD } : one)));
      };
      worker.current = made;
    }
    worker.current.postMessage(data);
  }, []);
  const write = useCallback(
    (orders: readonly WriteOrder[]) => {
      setTexts(orders.map(() => ({ ...NOTHING, isWriting: true })));
      for (const one of orders) order(one);
    },
    [order],
  );
  const stop = useCallback(() => order({ kind: "stop" }), [order]);
  return { texts: written, isBusy: written.some(({ isWriting }) => isWriting), write, stop };
}
