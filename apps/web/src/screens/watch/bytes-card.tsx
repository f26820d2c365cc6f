// Bytes of this run against plain data-parallel training of the same tokens, as squares.
import type { RunStatus } from "@manyhands/coordinator/status";
import { tokensPerStep } from "@manyhands/protocol/run-config";
import type { ReactNode } from "react";
import type { RunView } from "../../feed/run-view.ts";
import { timesText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Card, Empty, Notice } from "../../ui/parts.tsx";

/** Gradients up and weights down, four bytes each, in every step of every device. */
const BYTES_PER_PARAMETER = 8;
const SQUARES_MAX = 600;
const WIDTH = 480;

/** What data-parallel training in float32 would have moved for the run's tokens so far. */
export function dataParallelBytes(
  status: Pick<RunStatus, "parameters" | "tokensCommitted">,
  stepTokens: number,
): number {
  return (BYTES_PER_PARAMETER * status.parameters * status.tokensCommitted) / stepTokens;
}

export type BytesCardProps = { readonly view: RunView; readonly status: RunStatus };

export function BytesCard({ view, status }: BytesCardProps): ReactNode {
  const { watch, frame } = texts;
  if (view.run === null || status.tokensCommitted === 0) {
    const isGuest = view.run === null && status.tokensCommitted > 0;
    return (
      <Card title={watch.bytesTitle}>
        {isGuest ? <Notice>{frame.needsLink}</Notice> : <Empty>{watch.bytesSoon}</Empty>}
      </Card>
    );
  }
  const ours = status.traffic.bytesUp + status.traffic.bytesDown;
  const theirs = dataParallelBytes(status, tokensPerStep(view.run.recipe));
  const words = watch.bytesWords(ours, theirs);
  const ratio = theirs / Math.max(1, ours);
  return (
    <Card
      title={watch.bytesTitle}
      aside={ratio > 1.05 ? <b>{watch.bytesLess(timesText(ratio))}</b> : null}
    >
      <p className="soft">{words}</p>
      <Picture ratio={ratio} words={words} />
      <div className="legend">
        <span>
          <i /> {watch.bytesOurs}
        </span>
        <span>
          <i className="quiet" /> {watch.bytesTheirs}
        </span>
      </div>
    </Card>
  );
}

/** The first square is this run; all of them are the other way. */
function Picture({ ratio, words }: { readonly ratio: number; readonly words: string }): ReactNode {
  if (ratio < 2) return <Bars ratio={ratio} words={words} />;
  const count = Math.min(SQUARES_MAX, Math.max(1, Math.round(ratio)));
  const cell = Math.min(28, Math.max(9, Math.sqrt((WIDTH * 130) / count)));
  const columns = Math.floor(WIDTH / cell);
  const height = Math.ceil(count / columns) * cell;
  const squares = Array.from({ length: count }, (_, index) => ({
    x: (index % columns) * cell + 1,
    y: Math.floor(index / columns) * cell + 1,
  }));
  return (
    <svg className="squares" viewBox={`0 0 ${WIDTH} ${height}`} role="img" aria-label={words}>
      {squares.map(({ x, y }, index) => (
        <rect
          key={`${x} ${y}`}
          x={x}
          y={y}
          width={cell - 2}
          height={cell - 2}
          rx={2}
          fill={index === 0 ? "var(--accent)" : "var(--quiet)"}
        />
      ))}
    </svg>
  );
}

function Bars({ ratio, words }: { readonly ratio: number; readonly words: string }): ReactNode {
  const widest = Math.max(1, ratio);
  return (
    <svg className="squares" viewBox={`0 0 ${WIDTH} 44`} role="img" aria-label={words}>
      <rect width={WIDTH / widest} height={18} rx={4} fill="var(--accent)" />
      <rect y={26} width={(WIDTH * ratio) / widest} height={18} rx={4} fill="var(--quiet)" />
    </svg>
  );
}
