// Before anything heavy is loaded: what taking part takes, whether this device fits, one button.

import type { DeviceView, Fit, Offer } from "@manyhands/worker/browser/device-view";
import { type ReactNode, useEffect, useState } from "react";
import { Link } from "wouter";
import { theDevice } from "../../device/use-device.ts";
import { askJson } from "../../feed/http.ts";
import { joinLinkOf } from "../../feed/links.ts";
import type { RunView } from "../../feed/run-view.ts";
import { bytesText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Button, Card, type Field, Fields, Meter, Notice } from "../../ui/parts.tsx";
import { joinedName } from "../names.ts";
import { readProfile } from "../people/profile-store.ts";

export type InvitationProps = {
  readonly view: RunView;
  readonly device: DeviceView;
  readonly joinUrl: string;
  /** What the run pays; null for one that pays nothing. */
  readonly pay: ReactNode;
};

export function Invitation({ view, device, joinUrl, pay }: InvitationProps): ReactNode {
  const { contribute, watch } = texts;
  if (view.status?.phase === "finished") {
    return (
      <>
        <Card>
          <Notice kind="good" title={watch.finishedTitle}>
            {contribute.runOver}
          </Notice>
          <div>
            <Link className="button main" href={`/runs/${view.runId}/model`}>
              {contribute.tryModel}
            </Link>
          </div>
        </Card>
        {pay}
      </>
    );
  }
  return (
    <div className="grid two-one">
      <div className="stack">
        <Card>
          <FitLine device={device} />
          <BeginButton device={device} joinUrl={joinUrl} />
          {device.problem ? (
            <Notice kind="bad" title={device.problem.message}>
              {device.problem.hint ?? ""}
            </Notice>
          ) : null}
          <p className="soft">{contribute.why}</p>
          {isRefused(device.offer) ? <OtherRuns runId={view.runId} /> : null}
        </Card>
        {pay}
      </div>
      <CostCard offer={device.offer} />
    </div>
  );
}

function isRefused(offer: Offer | null): boolean {
  return offer?.fit === "too-small" || offer?.fit === "cannot";
}

const FIT_KINDS: Readonly<Record<Fit, "good" | "plain" | "bad">> = {
  fits: "good",
  perhaps: "plain",
  "too-small": "bad",
  cannot: "bad",
};

function FitLine({ device }: { readonly device: DeviceView }): ReactNode {
  const { contribute } = texts;
  const { offer } = device;
  if (offer === null) {
    return (
      <div className="stack tight">
        <p>{contribute.looking}</p>
        <Meter value={null} label={contribute.looking} />
      </div>
    );
  }
  const words = {
    fits: contribute.fits,
    perhaps: contribute.perhaps,
    "too-small": contribute.tooSmall,
    cannot: contribute.cannot,
  }[offer.fit];
  const compute = offer.compute === "gpu" ? contribute.gpu : contribute.wasm;
  return (
    <Notice kind={FIT_KINDS[offer.fit]} title={words}>
      {offer.why ?? (offer.compute === null ? "" : `${contribute.computeBy} ${compute}.`)}
    </Notice>
  );
}

type BeginProps = { readonly device: DeviceView; readonly joinUrl: string };

function BeginButton({ device, joinUrl }: BeginProps): ReactNode {
  const { contribute } = texts;
  const { offer, updates, phase } = device;
  if (isRefused(offer)) return null;
  const words =
    phase === "ended" ? contribute.again : updates > 0 ? contribute.resume : contribute.begin;
  const begin = (): void => theDevice().start(joinUrl, joinedName(readProfile()));
  return (
    <Button kind="main" size="big" wide icon="hand" disabled={offer === null} onClick={begin}>
      {offer?.fit === "perhaps" ? contribute.beginAnyway : words}
    </Button>
  );
}

function CostCard({ offer }: { readonly offer: Offer | null }): ReactNode {
  const { contribute } = texts;
  return (
    <Card title={contribute.beforeTitle}>
      {offer === null ? (
        <Meter value={null} label={contribute.looking} />
      ) : (
        <Fields fields={costs(offer)} />
      )}
      <div className="stack tight small">
        <h3>{contribute.battery}</h3>
        <p className="soft">{contribute.batteryWords}</p>
        <h3>{contribute.stays}</h3>
        <p className="soft">{contribute.staysWords}</p>
      </div>
    </Card>
  );
}

function costs(offer: Offer): readonly Field[] {
  const { contribute } = texts;
  const { runtimeBytes, dataBytes, weightsBytes, keptBytes, roundBytes, memoryBytes } = offer;
  const left = Math.max(0, runtimeBytes + dataBytes + weightsBytes - keptBytes);
  const parts = [
    `${contribute.runtime} ${bytesText(runtimeBytes)}`,
    `${contribute.data} ${bytesText(dataBytes)}`,
    `${contribute.weights} ${bytesText(weightsBytes)}`,
    keptBytes > 0 ? `${contribute.downloadKept} ${bytesText(keptBytes)}` : "",
  ].filter((part) => part !== "");
  return [
    {
      name: contribute.download,
      value: (
        <>
          {bytesText(left)}
          <span className="soft small" style={{ display: "block", fontWeight: 400 }}>
            {parts.join(" · ")}
          </span>
        </>
      ),
    },
    { name: contribute.perRound, value: bytesText(roundBytes) },
    { name: contribute.memory, value: bytesText(memoryBytes) },
  ];
}

type RunSummary = { readonly runId: string; readonly name: string; readonly phase: string };

/** Open runs of this coordinator that this browser has a link of, and that fit this device. */
async function runsThatFit(runId: string): Promise<readonly RunSummary[]> {
  const answer = await askJson<readonly RunSummary[]>("/runs");
  if (!answer.ok) return [];
  const fitting: RunSummary[] = [];
  for (const run of answer.value) {
    const link = joinLinkOf(run.runId);
    if (run.phase === "finished" || run.runId === runId || link === null) continue;
    if ((await theDevice().fitOf(link)) === "fits") fitting.push(run);
  }
  return fitting;
}

function OtherRuns({ runId }: { readonly runId: string }): ReactNode {
  const [others, setOthers] = useState<readonly RunSummary[] | null>(null);
  useEffect(() => {
    void runsThatFit(runId).then(setOthers);
  }, [runId]);
  if (others === null) return null;
  if (others.length === 0) return <p className="soft">{texts.contribute.noOtherRun}</p>;
  return (
    <div className="row wrap">
      {others.map((run) => (
        <Link key={run.runId} className="button" href={`/runs/${run.runId}`}>
          {texts.contribute.otherRun}: {run.name}
        </Link>
      ))}
    </div>
  );
}
