// The run that the page looks at, for React: one thread follows it, every screen reads the same.
import { useEffect, useSyncExternalStore } from "react";
import { withNews } from "./fold.ts";
import { type FeedNews, type FeedOrder, NO_ROUNDS, type RunView } from "./run-view.ts";

type Listener = () => void;

class RunFeed {
  readonly #worker: Worker;
  readonly #listeners = new Set<Listener>();
  #view: RunView | null = null;
  #token: string | null = null;
  #frame = 0;

  constructor() {
    this.#worker = new Worker(new URL("./feed.worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<FeedNews>) => this.#hear(data);
    document.addEventListener("visibilitychange", () => {
      this.#order({ kind: "visible", visible: document.visibilityState === "visible" });
    });
    addEventListener("online", () => this.#order({ kind: "visible", visible: true }));
  }

  follow(runId: string, token: string | null): void {
    if (this.#view?.runId === runId && this.#token === token) return;
    this.#token = token;
    this.#view = emptyView(runId);
    this.#order({ kind: "follow", runId, token });
    this.#tell();
  }

  readonly view = (): RunView | null => this.#view;

  readonly subscribe = (listener: Listener): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #hear(news: FeedNews): void {
    if (!this.#view || news.runId !== this.#view.runId) return;
    this.#view = withNews(this.#view, news, Date.now());
    // Much news may come at once: the screens hear of it once per frame.
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#tell();
    });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #order(order: FeedOrder): void {
    this.#worker.postMessage(order);
  }
}

function emptyView(runId: string): RunView {
  const nothing = { status: null, run: null, trouble: null, heardAt: null };
  return { runId, rounds: NO_ROUNDS, feed: [], ...nothing };
}

let feed: RunFeed | null = null;

function theFeed(): RunFeed {
  feed ??= new RunFeed();
  return feed;
}

export function useRun(runId: string, token: string | null): RunView {
  const source = theFeed();
  useEffect(() => source.follow(runId, token), [source, runId, token]);
  const view = useSyncExternalStore(source.subscribe, source.view);
  return view?.runId === runId ? view : emptyView(runId);
}
