// The certificate of one device's part in a finished run: to look at, to save, to share.
// Its address carries the worker's id, so that it shows the same to whoever opens it.
import { type ReactNode, useRef } from "react";
import { useSearch } from "wouter";
import { useOwnWorkerId } from "../../device/use-device.ts";
import type { RunView } from "../../feed/run-view.ts";
import { texts } from "../../texts.ts";
import { Button, Meter, Notice, Title } from "../../ui/parts.tsx";
import { ConnectionNotice, isUnknown, UnknownRun } from "../connection.tsx";
import { partsOf } from "../names.ts";
import { useThisRun } from "../use-this-run.ts";
import { type CertificateFacts, CertificatePicture } from "./certificate-picture.tsx";
import { savePicture } from "./save-picture.ts";

/** What the certificate of a worker says; null if it gave nothing. */
export function certificateFacts(view: RunView, workerId: string | null): CertificateFacts | null {
  const { status } = view;
  const worker = status?.workers.find((one) => one.workerId === workerId);
  if (!status || !worker || worker.credit === 0) return null;
  return {
    ...partsOf(worker.name),
    runName: status.name,
    runId: status.runId,
    workerId: worker.workerId,
    stateRoot: status.stateRoot,
    tokens: worker.credit,
    share: worker.credit / Math.max(1, status.tokensCommitted),
    updates: worker.updateCount,
    rounds: status.round,
    devices: status.workers.filter(({ credit }) => credit > 0).length,
  };
}

export function CertificateScreen(): ReactNode {
  const { view, runId } = useThisRun();
  const own = useOwnWorkerId(runId);
  const workerId = new URLSearchParams(useSearch()).get("device") ?? own;
  const { certificate, frame } = texts;
  if (isUnknown(view)) return <UnknownRun />;
  const facts = certificateFacts(view, workerId);
  return (
    <div className="stack">
      <Title title={certificate.title} />
      <ConnectionNotice view={view} />
      {view.status === null ? <Meter value={null} label={frame.loading} /> : null}
      {view.status !== null && facts === null ? <Notice>{certificate.none}</Notice> : null}
      {view.status !== null && view.status.phase !== "finished" ? (
        <Notice>{certificate.notYet}</Notice>
      ) : null}
      {facts && view.status?.phase === "finished" ? <Certificate facts={facts} /> : null}
    </div>
  );
}

function Certificate({ facts }: { readonly facts: CertificateFacts }): ReactNode {
  const { certificate } = texts;
  const box = useRef<HTMLDivElement>(null);
  const url = `${location.origin}/runs/${facts.runId}/certificate?device=${facts.workerId}`;
  const share = (): void => {
    // A person who changes their mind while sharing has not made a mistake.
    void navigator.share({ title: certificate.title, url }).catch(() => undefined);
  };
  const save = (): void => {
    const svg = box.current?.querySelector("svg");
    if (svg) void savePicture(svg, `manyhands-${facts.runName}.png`);
  };
  return (
    <>
      <div className="certificate" ref={box}>
        <CertificatePicture facts={facts} />
      </div>
      <div className="row wrap no-print">
        <Button kind="main" icon="down" onClick={save}>
          {certificate.save}
        </Button>
        {"share" in navigator ? (
          <Button icon="share" onClick={share}>
            {certificate.share}
          </Button>
        ) : null}
        <Button kind="bare" onClick={() => print()}>
          {certificate.print}
        </Button>
      </div>
    </>
  );
}
