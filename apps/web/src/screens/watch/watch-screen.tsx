// The run's dashboard: live, for its owner and for everybody who takes part.

import type { RunStatus } from "@manyhands/coordinator/status";
import type { ReactNode } from "react";
import type { RunView } from "../../feed/run-view.ts";
import { clockText, countText, durationText, groupedText, lossText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Card, Chip, Meter, Notice, Stat, Stats } from "../../ui/parts.tsx";
import { ConnectionNotice, isUnknown, UnknownRun } from "../connection.tsx";
import { useThisRun } from "../use-this-run.ts";
import { BytesCard } from "./bytes-card.tsx";
import { LossCard, SpeedCard } from "./curves.tsx";
import { DevicesCard } from "./devices-card.tsx";
import { FeedCard } from "./feed-card.tsx";
import { phaseKind } from "./phase-kind.ts";
import { RoundsCard } from "./rounds-card.tsx";

const POSITION_END = 1e6;

export function WatchScreen(): ReactNode {
  const { view, token } = useThisRun();
  if (isUnknown(view)) return <UnknownRun />;
  const { status } = view;
  return (
    <div className="stack">
      <ConnectionNotice view={view} />
      {status === null ? (
        <Card>
          <Meter value={null} label={texts.frame.loading} />
        </Card>
      ) : (
        <Dashboard view={view} status={status} token={token} />
      )}
    </div>
  );
}

type DashboardProps = {
  readonly view: RunView;
  readonly status: RunStatus;
  readonly token: string | null;
};

function Dashboard({ view, status, token }: DashboardProps): ReactNode {
  return (
    <>
      <Heading status={status} />
      <PhaseNotice status={status} />
      <Numbers status={status} />
      <div className="grid two">
        <LossCard view={view} />
        <SpeedCard view={view} />
        <RoundsCard view={view} token={token} />
        <DevicesCard status={status} />
        <BytesCard view={view} status={status} />
        <FeedCard view={view} token={token} />
      </div>
    </>
  );
}

function Heading({ status }: { readonly status: RunStatus }): ReactNode {
  const { name, phase, position } = status;
  return (
    <div className="stack tight">
      <div className="row wrap between">
        <h1>{name}</h1>
        <Chip kind={phaseKind(phase)}>{texts.phases[phase]}</Chip>
      </div>
      <Meter value={position / POSITION_END} label={texts.watch.progress} />
    </div>
  );
}

function PhaseNotice({ status }: { readonly status: RunStatus }): ReactNode {
  const { watch } = texts;
  const { phase, trouble, wish, finishReason } = status;
  if (trouble !== null) {
    return (
      <Notice kind="bad" title={watch.troubleTitle}>
        {trouble}
      </Notice>
    );
  }
  if (finishReason !== null) {
    return (
      <Notice kind="good" title={watch.finishedTitle}>
        {watch.finishReasons[finishReason]}
      </Notice>
    );
  }
  if (phase === "paused") {
    return (
      <Notice kind="warn" title={watch.pausedTitle} icon="pause">
        {watch.pausedWords}
      </Notice>
    );
  }
  if (wish !== null) return <Notice>{watch.wishes[wish]}</Notice>;
  if (phase === "waiting" && status.round === 0) {
    return <Notice title={watch.waitingTitle}>{watch.waitingWords}</Notice>;
  }
  return null;
}

function Numbers({ status }: { readonly status: RunStatus }): ReactNode {
  const { watch } = texts;
  const { tokensCommitted, budget, workers, tokensPerSecond, round, etaMs } = status;
  const here = workers.filter(({ active }) => active).length;
  const evaluation = status.evaluationLoss.at(-1)?.loss;
  const budgetText =
    budget.tokens === null
      ? budget.minutes === null
        ? undefined
        : `${clockText(status.trainingMs)} / ${clockText(budget.minutes * 60_000)}`
      : watch.of(countText(budget.tokens));
  return (
    <Stats>
      <Stat lead label={watch.validationNow} value={lossText(evaluation)} />
      <Stat label={watch.tokens} value={countText(tokensCommitted)} unit={budgetText} />
      <Stat label={watch.rounds} value={groupedText(round)} />
      <Stat
        label={watch.workersHere}
        value={groupedText(here)}
        unit={here === workers.length ? undefined : watch.ofAll(workers.length)}
      />
      <Stat
        label={watch.rate}
        value={groupedText(tokensPerSecond)}
        unit={texts.contribute.perSecond}
      />
      {etaMs === null || status.phase === "finished" ? null : (
        <Stat label={watch.left} value={durationText(etaMs)} />
      )}
    </Stats>
  );
}
