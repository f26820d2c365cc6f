// What happens in the run, in plain words, newest first.
import type { ReactNode } from "react";
import { placeOf } from "../../feed/fold.ts";
import type { FeedEntry, RunView } from "../../feed/run-view.ts";
import { clockText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Card, Empty, Notice } from "../../ui/parts.tsx";
import { VirtualList } from "../../ui/virtual-list.tsx";
import { nameOf, partsOf } from "../names.ts";

/** One event as a sentence. */
export function sentenceOf(view: RunView, entry: FeedEntry): string {
  const { feed, watch } = texts;
  const called = (workerId: string): string => nameOf(view.status, workerId);
  switch (entry.kind) {
    case "joined":
      return feed.joined(partsOf(entry.name).name);
    case "left": {
      const words = { left: feed.left, expired: feed.expired, evicted: feed.evicted };
      return words[entry.reason](called(entry.workerId));
    }
    case "opened":
      return feed.opened(entry.round);
    case "update":
      return feed.update(called(entry.workerId), entry.tokens, entry.loss);
    case "closed": {
      const count = view.rounds.contributors[placeOf(view.rounds, entry.round)] ?? 0;
      return feed.closed(entry.round, count === 0 ? watch.nobody : watch.devices(count));
    }
    case "finished":
      return `${feed.finished} ${watch.finishReasons[entry.reason]}`;
    default:
      return feed[entry.kind];
  }
}

export type FeedCardProps = { readonly view: RunView; readonly token: string | null };

export function FeedCard({ view, token }: FeedCardProps): ReactNode {
  const { watch, frame } = texts;
  const { feed } = view;
  return (
    <Card title={watch.feedTitle}>
      {token === null ? (
        <Notice>{frame.needsLink}</Notice>
      ) : feed.length === 0 ? (
        <Empty>{watch.feedEmpty}</Empty>
      ) : (
        <VirtualList
          label={watch.feedTitle}
          count={feed.length}
          rowHeight={40}
          heightMax={320}
          anchor="top"
          row={(index, place) => {
            const entry = feed[feed.length - 1 - index];
            if (!entry) return null;
            const sentence = sentenceOf(view, entry);
            return (
              <li key={entry.sequence} className="list-row feed-row" {...place}>
                <time>{clockText(entry.tick)}</time>
                <span className="grow cut" title={sentence}>
                  {sentence}
                </span>
              </li>
            );
          }}
        />
      )}
    </Card>
  );
}
