// Loss and speed of the run as curves over its tokens and rounds.
import { type ReactNode, useMemo } from "react";
import { useOwnWorkerId } from "../../device/use-device.ts";
import type { RunView } from "../../feed/run-view.ts";
import { countText, groupedText, lossText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Chart, type SeriesLook } from "../../ui/chart.tsx";
import { Card, Empty } from "../../ui/parts.tsx";
import { firstAndLast, ownLosses, roundSpeeds } from "./series.ts";

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
  const data = useMemo(() => {
    const { tokens, trainLoss, evaluationLoss } = rounds;
    return hasOwn ? [tokens, trainLoss, evaluationLoss, own] : [tokens, trainLoss, evaluationLoss];
  }, [rounds, own, hasOwn]);
  const ends = firstAndLast(rounds.trainLoss);
  const tip = (place: number): string => {
    const parts = [
      `${watch.round(rounds.round[place] ?? 0)}: ${lossText(rounds.trainLoss[place])}`,
      rounds.evaluationLoss[place] == null ? "" : lossText(rounds.evaluationLoss[place]),
      own[place] == null ? "" : `(${lossText(own[place])})`,
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
  const data = useMemo(() => [rounds.round, speeds], [rounds, speeds]);
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
            `${watch.round(rounds.round[place] ?? 0)}: ${groupedText(speeds[place] ?? 0)}`
          }
        />
      )}
    </Card>
  );
}
