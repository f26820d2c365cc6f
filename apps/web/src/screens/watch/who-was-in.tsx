// The updates of one round, read from the log's rows between two closes.
import { decodeRow } from "@manyhands/coordinator/log/log";
import type { EventOf } from "@manyhands/protocol/events";
import { type ReactNode, useEffect, useState } from "react";
import { placeOf } from "../../feed/fold.ts";
import { askRows } from "../../feed/follow.ts";
import type { RunView } from "../../feed/run-view.ts";
import { countText, lossText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Empty, Meter, Notice } from "../../ui/parts.tsx";
import { VirtualList } from "../../ui/virtual-list.tsx";
import { nameOf } from "../names.ts";

type Update = EventOf<"UpdateCommitted">;

export type WhoProps = {
  readonly view: RunView;
  readonly token: string | null;
  readonly round: number;
};

const ROWS_PER_QUESTION = 1_024;
const MICRO = 1e6;

/** Updates that came between the close before this round and its own; null if rows were lost. */
async function updatesOf(
  { view, token, round }: WhoProps,
  signal: AbortSignal,
): Promise<readonly Update[] | null> {
  const { rounds, runId } = view;
  const at = placeOf(rounds, round);
  const last = rounds.closedRow[at] ?? null;
  if (last === null) return null;
  let from = (rounds.closedRow[at - 1] ?? -1) + 1;
  const found: Update[] = [];
  while (from < last && !signal.aborted) {
    const limit = Math.min(ROWS_PER_QUESTION, last - from);
    const rows = await askRows({ runId, token, from, limit });
    if (!rows.ok || rows.value.length === 0) return null;
    for (const row of rows.value) {
      const event = decodeRow(row);
      if (event.ok && event.value.type === "UpdateCommitted") found.push(event.value);
    }
    from += rows.value.length;
  }
  return found;
}

export function WhoWasIn(props: WhoProps): ReactNode {
  const { view, token, round } = props;
  const { watch, frame } = texts;
  const [updates, setUpdates] = useState<readonly Update[] | null | "asking">("asking");
  // biome-ignore lint/correctness/useExhaustiveDependencies: a closed round does not change
  useEffect(() => {
    const ended = new AbortController();
    setUpdates("asking");
    void updatesOf(props, ended.signal).then((found) => {
      if (!ended.signal.aborted) setUpdates(found);
    });
    return () => ended.abort();
  }, [view.runId, round, token]);
  if (token === null) return <Notice>{frame.needsLink}</Notice>;
  if (updates === "asking") return <Meter value={null} label={frame.loading} />;
  if (updates === null) return <Notice kind="warn">{watch.whoLost}</Notice>;
  return (
    <div className="stack tight">
      <h3>{watch.whoTitle(round)}</h3>
      {updates.length === 0 ? (
        <Empty>{watch.whoNone}</Empty>
      ) : (
        <VirtualList
          label={watch.whoTitle(round)}
          count={updates.length}
          rowHeight={40}
          heightMax={240}
          row={(index, place) => {
            const update = updates[index];
            if (!update) return null;
            return (
              <li key={index} className="list-row" {...place}>
                <UpdateRow view={view} event={update} round={round} />
              </li>
            );
          }}
        />
      )}
    </div>
  );
}

type UpdateRowProps = {
  readonly view: RunView;
  readonly event: Update;
  readonly round: number;
};

function UpdateRow({ view, event, round }: UpdateRowProps): ReactNode {
  const { update, workerId } = event;
  return (
    <>
      <span className="grow cut">
        {nameOf(view.status, workerId)}
        {update.round < round ? <span className="soft"> · {texts.watch.late(1)}</span> : null}
      </span>
      <span className="number soft">{lossText(update.metrics.trainLossMicronats / MICRO)}</span>
      <span className="number" style={{ width: 72 }}>
        {countText(update.tokens)}
      </span>
    </>
  );
}
