// Every round with its duration and, when opened, who was in it.
import { type ReactNode, useMemo, useState } from "react";
import type { RoundColumns, RunView } from "../../feed/run-view.ts";
import { durationText, groupedText, lossText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Chart, type SeriesLook } from "../../ui/chart.tsx";
import { Card, Empty } from "../../ui/parts.tsx";
import { type RowPlace, VirtualList } from "../../ui/virtual-list.tsx";
import { binsOf, meanIn, roundsOf } from "./series.ts";
import { WhoWasIn } from "./who-was-in.tsx";

const ROW_HEIGHT = 44;
const LIST_HEIGHT = 308;

function durations(rounds: RoundColumns): number[] {
  return rounds.round.map((_, at) => (rounds.closedAt[at] ?? 0) - (rounds.openedAt[at] ?? 0));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

const BARS: readonly SeriesLook[] = [
  { label: texts.watch.roundsTitle, color: "--accent", kind: "bars" },
];
/** Beyond this many rounds bars are as thin as their gaps: a line says more. */
const BARS_MAX = 120;
const LINE: readonly SeriesLook[] = [
  { label: texts.watch.roundsTitle, color: "--accent", width: 1.6 },
];

export type RoundsCardProps = { readonly view: RunView; readonly token: string | null };

export function RoundsCard({ view, token }: RoundsCardProps): ReactNode {
  const { watch } = texts;
  const { rounds } = view;
  const [opened, setOpened] = useState<number | null>(null);
  const ms = useMemo(() => durations(rounds), [rounds]);
  const seconds = useMemo(() => ms.map((value) => value / 1_000), [ms]);
  const middle = useMemo(() => median(ms), [ms]);
  const bins = useMemo(() => binsOf(seconds.length), [seconds]);
  const data = useMemo(
    () => [rounds.round, seconds].map((column) => meanIn(column, bins)),
    [rounds, seconds, bins],
  );
  const count = ms.length;
  if (count === 0) {
    return (
      <Card title={watch.roundsTitle}>
        <Empty>{watch.noRounds}</Empty>
      </Card>
    );
  }
  const words = watch.roundsWords(count, middle);
  const newestFirst = (index: number, place: RowPlace): ReactNode => {
    const at = count - 1 - index;
    const round = rounds.round[at] ?? 0;
    const toggle = (): void => setOpened(opened === round ? null : round);
    return (
      <li key={round} {...place} className="list-row">
        <RoundRow rounds={rounds} at={at} isOpen={opened === round} onOpen={toggle} />
      </li>
    );
  };
  return (
    <Card title={watch.roundsTitle} aside={<span className="soft small">{words}</span>}>
      <Chart
        data={data}
        series={count > BARS_MAX ? LINE : BARS}
        height={150}
        words={words}
        xText={groupedText}
        yText={(value) => (value === 0 ? "0" : `${Number(value.toPrecision(3))} s`)}
        tip={(at) => {
          const which = watch.roundsFrom(roundsOf(rounds, bins[at] ?? [0, 0]));
          return `${which}: ${durationText(1_000 * (data[1]?.[at] ?? 0))}`;
        }}
      />
      <VirtualList
        label={watch.roundsTitle}
        count={count}
        rowHeight={ROW_HEIGHT}
        heightMax={LIST_HEIGHT}
        anchor="top"
        row={newestFirst}
      />
      {opened === null ? null : <WhoWasIn view={view} token={token} round={opened} />}
    </Card>
  );
}

type RoundRowProps = {
  readonly rounds: RoundColumns;
  readonly at: number;
  readonly isOpen: boolean;
  readonly onOpen: () => void;
};

function RoundRow({ rounds, at, isOpen, onOpen }: RoundRowProps): ReactNode {
  const { watch } = texts;
  const round = rounds.round[at] ?? 0;
  const contributors = rounds.contributors[at] ?? 0;
  const late = rounds.late[at] ?? 0;
  const ms = (rounds.closedAt[at] ?? 0) - (rounds.openedAt[at] ?? 0);
  return (
    <button
      type="button"
      className="list-row"
      style={{ inset: 0, borderBottomWidth: 0 }}
      aria-expanded={isOpen}
      title={watch.openRound}
      onClick={onOpen}
    >
      <b style={{ width: 104 }}>{watch.round(round)}</b>
      <span className="grow cut soft">
        {contributors === 0 ? watch.nobody : watch.devices(contributors)}
        {late > 0 ? `, ${watch.late(late)}` : ""}
      </span>
      <span className="number soft">{lossText(rounds.trainLoss[at])}</span>
      <span className="number" style={{ width: 84 }}>
        {durationText(ms)}
      </span>
    </button>
  );
}
