// The ledger: the run's log to browse, and the button that checks all of it right here.
import { type ReactNode, useState } from "react";
import type { RunView } from "../../feed/run-view.ts";
import { sentence } from "../../format.ts";
import type { LedgerNews } from "../../ledger/ledger-news.ts";
import { texts } from "../../texts.ts";
import { Button, Card, Fields, Meter, Notice, Title } from "../../ui/parts.tsx";
import { ConnectionNotice, isUnknown, UnknownRun } from "../connection.tsx";
import { useThisRun } from "../use-this-run.ts";
import { LogList } from "./log-list.tsx";
import { type Check, useCheck } from "./use-check.ts";

export function LedgerScreen(): ReactNode {
  const { runId, token, view } = useThisRun();
  const check = useCheck({ runId, token });
  const [shown, setShown] = useState<number | null>(null);
  const { ledger, frame } = texts;
  if (isUnknown(view)) return <UnknownRun />;
  const damaged = damagedRow(check.news);
  return (
    <div className="stack">
      <Title title={ledger.title}>{ledger.lead}</Title>
      <ConnectionNotice view={view} />
      {token === null ? (
        <Notice>{frame.needsLink}</Notice>
      ) : (
        <>
          <CheckCard check={check} onShow={setShown} />
          <LogList
            runId={runId}
            token={token}
            rows={rowCount(view, check.news)}
            checked={checkedRows(check.news)}
            damaged={damaged}
            shown={shown}
            onShow={setShown}
          />
        </>
      )}
    </div>
  );
}

function rowCount(view: RunView, news: LedgerNews | null): number {
  const fromFeed = (view.feed.at(-1)?.sequence ?? -1) + 1;
  return Math.max(fromFeed, news !== null && news.kind !== "trouble" ? news.total : 0);
}

function checkedRows(news: LedgerNews | null): number {
  if (news?.kind === "progress") return news.rows;
  return news?.kind === "done" ? news.findings.rows : 0;
}

function damagedRow(news: LedgerNews | null): number | null {
  return news?.kind === "done" ? (news.findings.damage?.sequence ?? null) : null;
}

type CheckCardProps = { readonly check: Check; readonly onShow: (row: number) => void };

function CheckCard({ check, onShow }: CheckCardProps): ReactNode {
  const { ledger } = texts;
  const { news, isRunning, start, stop } = check;
  return (
    <Card>
      <div className="row wrap">
        {isRunning ? (
          <Button onClick={stop}>{ledger.stop}</Button>
        ) : (
          <Button kind="main" icon="check" onClick={start}>
            {news === null ? ledger.check : ledger.checkAgain}
          </Button>
        )}
        {isRunning && news?.kind === "progress" ? (
          <span className="soft">{ledger.checking(news.rows, news.total)}</span>
        ) : null}
      </div>
      {isRunning ? <Meter value={progressOf(news)} label={ledger.progress} /> : null}
      <Verdict news={news} onShow={onShow} />
    </Card>
  );
}

function progressOf(news: LedgerNews | null): number | null {
  return news?.kind === "progress" && news.total > 0 ? news.rows / news.total : null;
}

type VerdictProps = { readonly news: LedgerNews | null; readonly onShow: (row: number) => void };

function Verdict({ news, onShow }: VerdictProps): ReactNode {
  const { ledger, frame } = texts;
  if (news?.kind === "trouble") {
    const title = news.trouble.kind === "away" ? frame.away : undefined;
    return (
      <Notice kind="warn" title={title}>
        {news.trouble.message}
      </Notice>
    );
  }
  if (news?.kind !== "done") return null;
  const { findings, total, ms } = news;
  const { damage, rows, rounds, signatures } = findings;
  if (damage !== null) {
    return (
      <Notice kind="bad" title={ledger.damaged(damage.sequence)}>
        <p>{sentence(damage.problem)}</p>
        <p className="soft">{ledger.damagedWords}</p>
        <Button kind="bare" onClick={() => onShow(damage.sequence)}>
          {ledger.show}
        </Button>
      </Notice>
    );
  }
  if (rows < total) return <Notice kind="bad">{ledger.cut}</Notice>;
  return (
    <>
      <Notice kind="good" title={ledger.sound}>
        {ledger.soundWords(rows, rounds, signatures)} {ledger.seconds(ms)}
      </Notice>
      <Fields
        fields={[
          { name: ledger.stateRoot, value: <Root value={findings.stateRoot} /> },
          { name: ledger.creditRoot, value: <Root value={findings.creditRoot} /> },
          { name: ledger.head, value: <Root value={findings.head} /> },
        ]}
      />
      <p className="soft small">{ledger.copyHint}</p>
    </>
  );
}

function Root({ value }: { readonly value: string | null }): ReactNode {
  if (value === null) return "–";
  return <code style={{ overflowWrap: "anywhere" }}>{value}</code>;
}
