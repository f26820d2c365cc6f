// What a join link opens: what is trained here, what it takes, one button, and then the device at
// work.

import type { DeviceView } from "@manyhands/worker/browser/device-view";
import { lazy, type ReactNode, Suspense, useEffect } from "react";
import { Link } from "wouter";
import { useDevice } from "../../device/use-device.ts";
import { joinLinkOf } from "../../feed/links.ts";
import type { RunView } from "../../feed/run-view.ts";
import { texts } from "../../texts.ts";
import { Card, Chip, Meter, Notice } from "../../ui/parts.tsx";
import { ConnectionNotice, isUnknown, UnknownRun } from "../connection.tsx";
import { keepGiven } from "../people/totals-store.ts";
import { useThisRun } from "../use-this-run.ts";
import { phaseKind } from "../watch/phase-kind.ts";
import { Invitation } from "./invitation.tsx";
import { isAtWork } from "./is-at-work.ts";
import { LiveDevice } from "./live-device.tsx";
import { useLook } from "./use-look.ts";

/** Only runs that pay load it. */
const PayCard = lazy(async () => ({ default: (await import("../pay/pay-card.tsx")).PayCard }));

export function ContributeScreen(): ReactNode {
  const { runId, token, view } = useThisRun();
  const device = useDevice();
  const joinUrl = token === null ? null : joinLinkOf(runId);
  useLook(joinUrl, runId, device);
  useKeptTotals(view, device);
  if (isUnknown(view)) return <UnknownRun />;
  return (
    <div className="stack">
      <ConnectionNotice view={view} />
      <RunHeading view={view} />
      {joinUrl === null ? (
        <Notice title={texts.contribute.joinNeeded}>{texts.frame.needsLink}</Notice>
      ) : (
        <DevicePart view={view} device={device} joinUrl={joinUrl} />
      )}
    </div>
  );
}

/** What was given is remembered for the profile, where no coordinator need be there to tell. */
function useKeptTotals(view: RunView, device: DeviceView): void {
  const name = view.status?.name;
  const { runId, tokens, updates } = device;
  useEffect(() => {
    if (runId === null || runId !== view.runId || name === undefined || tokens === 0) return;
    keepGiven({ runId, name, tokens, updates });
  }, [runId, view.runId, name, tokens, updates]);
}

type DevicePartProps = {
  readonly view: RunView;
  readonly device: DeviceView;
  readonly joinUrl: string;
};

function DevicePart({ view, device, joinUrl }: DevicePartProps): ReactNode {
  const { contribute } = texts;
  if (device.phase === "elsewhere") {
    return <Notice kind="warn">{device.now === "" ? contribute.otherTab : device.now}</Notice>;
  }
  if (isAtWork(device) && device.runId !== null && device.runId !== view.runId) {
    return <OtherWork device={device} runId={device.runId} />;
  }
  const isLive = isAtWork(device) || (device.phase === "ended" && device.updates > 0);
  const pay = view.run?.pay ? (
    <Suspense>
      <PayCard view={view} />
    </Suspense>
  ) : null;
  if (!isLive) return <Invitation {...{ view, device, joinUrl, pay }} />;
  return (
    <>
      <LiveDevice view={view} device={device} joinUrl={joinUrl} />
      {pay}
    </>
  );
}

type OtherWorkProps = { readonly device: DeviceView; readonly runId: string };

/** One device trains one run at a time. */
function OtherWork({ device, runId }: OtherWorkProps): ReactNode {
  const { contribute } = texts;
  return (
    <Notice title={contribute.otherWork}>
      <p>{device.now}</p>
      <Link href={`/runs/${runId}`}>{contribute.toOtherWork}</Link>
    </Notice>
  );
}

function RunHeading({ view }: { readonly view: RunView }): ReactNode {
  const { contribute, phases, frame } = texts;
  const { status, run } = view;
  if (status === null) {
    return (
      <Card>
        <Meter value={null} label={frame.loading} />
      </Card>
    );
  }
  const files = run?.dataset.files.map(({ name }) => name).join(", ");
  return (
    <div className="hero">
      <div className="stack tight">
        <div>
          <Chip kind={phaseKind(status.phase)}>{phases[status.phase]}</Chip>
        </div>
        <h1>{contribute.title(status.name)}</h1>
      </div>
      <p className="lead-text">
        {files === undefined
          ? contribute.whatWithoutFiles(status.parameters)
          : contribute.what(status.parameters, files)}
      </p>
    </div>
  );
}
