// The device at work: what it does now, what it has given, and the person's hand on it.

import type { DeviceView } from "@manyhands/worker/browser/device-view";
import { type ReactNode, useState } from "react";
import { Link } from "wouter";
import { theDevice } from "../../device/use-device.ts";
import type { RunView } from "../../feed/run-view.ts";
import {
  bytesText,
  countText,
  durationText,
  groupedText,
  lossText,
  shareText,
} from "../../format.ts";
import { texts } from "../../texts.ts";
import { Button, Card, classes, Meter, Notice, Stat, Stats } from "../../ui/parts.tsx";
import { joinedName } from "../names.ts";
import { readProfile } from "../people/profile-store.ts";
import { DimScreen } from "./dim-screen.tsx";

const POSITION_END = 1e6;

export type LiveDeviceProps = {
  readonly view: RunView;
  readonly device: DeviceView;
  readonly joinUrl: string;
};

export function LiveDevice({ view, device, joinUrl }: LiveDeviceProps): ReactNode {
  const { contribute } = texts;
  const { status } = view;
  return (
    <div className="stack">
      <NowPanel device={device} />
      {device.problem ? (
        <Notice kind="bad" title={device.problem.message}>
          {device.problem.hint ?? ""}
        </Notice>
      ) : null}
      <Given view={view} device={device} />
      {device.phase === "ended" ? (
        <Ended view={view} device={device} joinUrl={joinUrl} />
      ) : (
        <Controls device={device} />
      )}
      {status === null ? null : (
        <Card title={contribute.runProgress}>
          <Meter value={status.position / POSITION_END} label={texts.watch.progress} />
          <div className="row wrap between soft small">
            <span>
              {countText(status.tokensCommitted)} {texts.people.tokens}
            </span>
            <Link href={`/runs/${view.runId}/watch`}>{texts.frame.watch}</Link>
          </div>
        </Card>
      )}
    </div>
  );
}

const NOW_CLASS: Partial<Record<DeviceView["phase"], string>> = {
  resting: "resting",
  paused: "resting",
  ended: "over",
};

function NowPanel({ device }: { readonly device: DeviceView }): ReactNode {
  const { contribute } = texts;
  const { phase, now, step, loading, slowed } = device;
  return (
    <section
      className={classes("now", NOW_CLASS[phase], device.problem && phase === "ended" && "failing")}
      aria-label={contribute.now}
    >
      <p className="now-words" aria-live="polite">
        {now}
      </p>
      {slowed === null ? null : <p className="soft">{slowed}</p>}
      {loading && phase === "loading" ? (
        <>
          <Meter
            value={loading.total > 0 ? loading.done / loading.total : null}
            label={contribute.reading}
          />
          <p className="soft small">{contribute.readingOf(loading.done, loading.total)}</p>
        </>
      ) : null}
      {step && phase !== "ended" && phase !== "loading" ? (
        <>
          <Meter value={step.of > 0 ? step.at / step.of : 0} label={contribute.roundProgress} />
          <p className="soft small">{contribute.stepOf(step.at, step.of)}</p>
        </>
      ) : null}
    </section>
  );
}

type GivenProps = { readonly view: RunView; readonly device: DeviceView };

function Given({ view, device }: GivenProps): ReactNode {
  const { contribute } = texts;
  const { tokens, updates, tokensPerSecond, bytesUsed, firstUpdateMs, loss } = device;
  const all = view.status?.tokensCommitted ?? 0;
  return (
    <Stats>
      <Stat lead label={contribute.ownTokens} value={countText(tokens)} />
      <Stat label={contribute.updates} value={groupedText(updates)} />
      <Stat label={contribute.share} value={shareText(all > 0 ? Math.min(1, tokens / all) : 0)} />
      {device.phase === "ended" ? null : (
        <Stat
          label={contribute.speed}
          value={groupedText(tokensPerSecond)}
          unit={contribute.perSecond}
        />
      )}
      <Stat label={contribute.loss} value={lossText(loss)} />
      <Stat label={contribute.dataUsed} value={bytesText(bytesUsed)} />
      {firstUpdateMs === null ? null : (
        <Stat label={contribute.firstUpdate} value={durationText(firstUpdateMs)} />
      )}
    </Stats>
  );
}

function Controls({ device }: { readonly device: DeviceView }): ReactNode {
  const { contribute } = texts;
  const [isLeaving, setLeaving] = useState(false);
  const [isDim, setDim] = useState(false);
  const source = theDevice();
  const isPaused = device.phase === "paused";
  if (isLeaving) {
    return (
      <Card>
        <p role="alert">{contribute.leaveSure}</p>
        <div className="row wrap">
          <Button kind="bad" onClick={() => source.leave()}>
            {contribute.leaveYes}
          </Button>
          <Button autoFocus onClick={() => setLeaving(false)}>
            {contribute.leaveNo}
          </Button>
        </div>
      </Card>
    );
  }
  return (
    <div className="stack tight">
      <div className="row wrap">
        <Button
          kind={isPaused ? "main" : undefined}
          icon={isPaused ? "play" : "pause"}
          onClick={() => (isPaused ? source.resume() : source.pause())}
        >
          {isPaused ? contribute.goOn : contribute.pause}
        </Button>
        <Button disabled={device.isFinishing} onClick={() => source.finish()}>
          {device.isFinishing ? contribute.finishing : contribute.finish}
        </Button>
        <Button kind="bare" onClick={() => setLeaving(true)}>
          {contribute.leave}
        </Button>
        <Button kind="bare" onClick={() => setDim(true)}>
          {contribute.dim}
        </Button>
      </div>
      <p className="small">
        <Link href="/limits">{contribute.changeLimits}</Link>
      </p>
      {isDim ? <DimScreen now={device.now} onEnd={() => setDim(false)} /> : null}
    </div>
  );
}

function Ended({ view, device, joinUrl }: LiveDeviceProps): ReactNode {
  const { contribute } = texts;
  const isOver = view.status?.phase === "finished";
  const again = (): void => theDevice().start(joinUrl, joinedName(readProfile()));
  return (
    <Card title={contribute.thanksTitle}>
      <p>{contribute.thanks(device.tokens, device.updates)}</p>
      <div className="row wrap">
        {isOver ? (
          <>
            <Link className="button main" href={`/runs/${view.runId}/certificate`}>
              {contribute.certificate}
            </Link>
            <Link className="button" href={`/runs/${view.runId}/model`}>
              {contribute.tryModel}
            </Link>
          </>
        ) : (
          <Button kind="main" icon="hand" onClick={again}>
            {contribute.again}
          </Button>
        )}
      </div>
    </Card>
  );
}
