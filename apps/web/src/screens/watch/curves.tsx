// Loss and speed of the run as curves over its tokens and rounds.
import { type ReactNode, useMemo } from "react";
import { useOwnWorkerId } from "../../device/use-device.ts";
import type { RunView } from "../../feed/run-view.ts";
import { countText, groupedText, lossText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Chart, type SeriesLook } from "../../ui/chart.tsx";
import { Card, Empty } from "../../ui/parts.tsx";
import { binsOf, firstAndLast, meanIn, ownLosses, roundSpeeds, roundsOf } from "./series.ts";

const ALL_LOSSES: readonly SeriesLook[] = [
  { label: texts.watch.training, color: "--accent", width: 2 },
  { label: texts.watch.validation, color: "--second", kind: "dots", width: 1.6 },
];
const OWN_LOSS: SeriesLook = { label: texts.watch.own, color: "--ink", width: 1.2 };

function steps(value: number): string {
  return value >= 10 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

export function LossCard({ view }: { readonly view: RunView }): ReactNode {
  const { watch } = texts;
  const { rounds, feed } = view;
  const workerId = useOwnWorkerId(view.runId);
  const own = useMemo(() => ownLosses(rounds, feed, workerId), [rounds, feed, workerId]);
  const hasOwn = own.some((value) => value !== null);
  const bins = useMemo(() => binsOf(rounds.round.length), [rounds]);
  const data = useMemo(() => {
    const { tokens, trainLoss, evaluationLoss } = rounds;
    const columns = [tokens, trainLoss, evaluationLoss, ...(hasOwn ? [own] : [])];
    return columns.map((column) => meanIn(column, bins));
  }, [rounds, own, hasOwn, bins]);
  const ends = firstAndLast(rounds.trainLoss);
  const tip = (place: number): string => {
    const [, training, validation, mine] = data.map((column) => column[place] ?? null);
    const parts = [
      `${watch.roundsFrom(roundsOf(rounds, bins[place] ?? [0, 0]))}: ${lossText(training)}`,
      validation == null ? "" : lossText(validation),
      mine == null ? "" : `(${lossText(mine)})`,
    ];
    return parts.filter((part) => part !== "").join("  ");
  };
  return (
    <Card title={watch.lossTitle} aside={<span className="soft small">{watch.lossHelp}</span>}>
      {ends === null ? (
        <Empty>{watch.noRounds}</Empty>
      ) : (
        <>
          <Chart
            data={data}
            series={hasOwn ? [...ALL_LOSSES, OWN_LOSS] : ALL_LOSSES}
            height={260}
            logarithmic
            words={watch.lossWords(ends[0], ends[1], rounds.round.length)}
            xText={countText}
            yText={steps}
            tip={tip}
          />
          <LossLegend hasOwn={hasOwn} />
        </>
      )}
    </Card>
  );
}

function LossLegend({ hasOwn }: { readonly hasOwn: boolean }): ReactNode {
  const { watch } = texts;
  return (
    <div className="legend">
      <span>
        <i /> {watch.training}
      </span>
      <span>
        <i className="second" /> {watch.validation}
      </span>
      {hasOwn ? (
        <span>
          <i className="own" /> {watch.own}
        </span>
      ) : null}
    </div>
  );
}

const SPEED: readonly SeriesLook[] = [{ label: texts.watch.speed, color: "--accent", width: 1.6 }];

export function SpeedCard({ view }: { readonly view: RunView }): ReactNode {
  const { watch } = texts;
  const { rounds } = view;
  const speeds = useMemo(() => roundSpeeds(rounds), [rounds]);
  const bins = useMemo(() => binsOf(speeds.length), [speeds]);
  const data = useMemo(
    () => [rounds.round, speeds].map((column) => meanIn(column, bins)),
    [rounds, speeds, bins],
  );
  const last = firstAndLast(speeds)?.[1];
  return (
    <Card title={watch.speedTitle}>
      {last === undefined ? (
        <Empty>{watch.noRounds}</Empty>
      ) : (
        <Chart
          data={data}
          series={SPEED}
          height={260}
          words={watch.speedWords(last)}
          xText={countText}
          yText={countText}
          tip={(place) =>
            `${watch.roundsFrom(roundsOf(rounds, bins[place] ?? [0, 0]))}: ` +
            groupedText(data[1]?.[place] ?? 0)
          }
        />
      )}
    </Card>
  );
}
