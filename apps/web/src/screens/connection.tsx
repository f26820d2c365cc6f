// The connection to the coordinator in words: offline, away since when, unknown run.
import { type ReactNode, useEffect, useState } from "react";
import type { RunView } from "../feed/run-view.ts";
import { durationText } from "../format.ts";
import { texts } from "../texts.ts";
import { Notice, Title } from "../ui/parts.tsx";

/** This page's clock, once a second while it is needed. */
export function useSeconds(isNeeded: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!isNeeded) return;
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [isNeeded]);
  return now;
}

/** Says that the coordinator is away; nothing while it answers. */
export function ConnectionNotice({ view }: { readonly view: RunView }): ReactNode {
  const { trouble, heardAt } = view;
  const isAway = trouble !== null && trouble.kind !== "unknown";
  const now = useSeconds(isAway);
  if (!isAway) return null;
  const { frame } = texts;
  if (!navigator.onLine) {
    return (
      <Notice kind="warn" icon="away">
        {frame.offline}
      </Notice>
    );
  }
  const since =
    heardAt === null ? frame.awayNever : frame.awaySince(durationText(roundDown(now - heardAt)));
  const why = trouble.kind === "failed" ? trouble.message : since;
  return (
    <Notice kind="warn" icon="away" title={frame.away}>
      {why}
    </Notice>
  );
}

function roundDown(ms: number): number {
  return Math.max(1_000, Math.floor(ms / 1_000) * 1_000);
}

/** Instead of a screen, where the coordinator does not know the run at all. */
export function UnknownRun(): ReactNode {
  return <Title title={texts.frame.unknownRun}>{texts.frame.unknownRunWhy}</Title>;
}

export function isUnknown(view: RunView): boolean {
  return view.trouble?.kind === "unknown" && view.status === null;
}
