// The devices of the run: how many of each kind, and each one with what it does now.
import type { RunStatus, WorkerStatus } from "@manyhands/coordinator/status";
import type { Numerics } from "@manyhands/protocol/events";
import { type ReactNode, useMemo } from "react";
import { countText, groupedText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Card, classes, Empty } from "../../ui/parts.tsx";
import { VirtualList } from "../../ui/virtual-list.tsx";
import { nameOf } from "../names.ts";

const KINDS: readonly Numerics[] = ["ort-webgpu", "ort-wasm", "ort-cpu", "reference"];

/** Those who are here first, then by what they gave. */
export function inOrder(workers: readonly WorkerStatus[]): readonly WorkerStatus[] {
  return workers.toSorted(
    (a, b) =>
      Number(b.active) - Number(a.active) || b.credit - a.credit || (a.name < b.name ? -1 : 1),
  );
}

export function DevicesCard({ status }: { readonly status: RunStatus }): ReactNode {
  const { watch } = texts;
  const workers = useMemo(() => inOrder(status.workers), [status.workers]);
  return (
    <Card title={watch.workersTitle}>
      {workers.length === 0 ? (
        <Empty>{watch.waitingWords}</Empty>
      ) : (
        <>
          <Kinds workers={workers} />
          <VirtualList
            label={watch.workersTitle}
            count={workers.length}
            rowHeight={52}
            heightMax={312}
            row={(index, place) => {
              const worker = workers[index];
              if (!worker) return null;
              return (
                <li key={worker.workerId} className="list-row" {...place}>
                  <DeviceRow status={status} worker={worker} />
                </li>
              );
            }}
          />
        </>
      )}
    </Card>
  );
}

function Kinds({ workers }: { readonly workers: readonly WorkerStatus[] }): ReactNode {
  const { watch } = texts;
  const here = workers.filter(({ active }) => active);
  const counts = KINDS.map((kind) => ({
    kind,
    count: here.filter(({ numerics }) => numerics === kind).length,
  })).filter(({ count }) => count > 0);
  if (counts.length === 0) return null;
  return (
    <ul aria-label={watch.kindsTitle}>
      {counts.map(({ kind, count }) => (
        <li key={kind} className="kind">
          <span className="soft">{watch.kinds[kind]}</span>
          <span className="bar">
            <i style={{ width: `${(count / here.length) * 100}%` }} />
          </span>
          <span className="number">{groupedText(count)}</span>
        </li>
      ))}
    </ul>
  );
}

type DeviceRowProps = { readonly status: RunStatus; readonly worker: WorkerStatus };

function DeviceRow({ status, worker }: DeviceRowProps): ReactNode {
  const { watch, contribute } = texts;
  const { active, connected, doing, innerStep, innerSteps, tokensPerSecond } = worker;
  const isTraining = active && connected && doing === "training";
  const state = !active ? watch.gone : connected ? watch.doing[doing] : watch.silent;
  const steps = isTraining && innerSteps > 0 ? `, ${contribute.stepOf(innerStep, innerSteps)}` : "";
  return (
    <>
      <span className={classes("chip", isTraining && "live")} style={{ padding: 4 }}>
        <i />
      </span>
      <span className="grow">
        <span className="cut" style={{ display: "block" }}>
          {nameOf(status, worker.workerId)}
        </span>
        <span className="cut soft small" style={{ display: "block" }}>
          {state}
          {steps}
        </span>
      </span>
      <span className="number">
        {countText(worker.credit)}
        <span className="soft small" style={{ display: "block" }}>
          {isTraining ? `${groupedText(tokensPerSecond)} ${contribute.perSecond}` : "\u00a0"}
        </span>
      </span>
    </>
  );
}
