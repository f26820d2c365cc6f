// The front door: the runs that are open here, and a place for a join link.
import { type FormEvent, type ReactNode, useEffect, useId, useState } from "react";
import { Link, useLocation } from "wouter";
import { askJson, type Trouble } from "../feed/http.ts";
import { keepLink, parseLink, tokenOf } from "../feed/links.ts";
import { texts } from "../texts.ts";
import { Icon } from "../ui/icons.tsx";
import { Button, Card, Chip, Empty, Meter, Notice } from "../ui/parts.tsx";

const POSITION_END = 1e6;
const ASKS_AGAIN_MS = 4_000;

type RunSummary = {
  readonly runId: string;
  readonly name: string;
  readonly phase: keyof typeof texts.phases;
  readonly round: number;
  readonly position: number;
};

type Runs = { readonly runs: readonly RunSummary[] | null; readonly trouble: Trouble | null };

function useRuns(): Runs {
  const [state, setState] = useState<Runs>({ runs: null, trouble: null });
  useEffect(() => {
    let timer = 0;
    const ask = async (): Promise<void> => {
      const answer = await askJson<readonly RunSummary[]>("/runs");
      if (timer < 0) return;
      setState((before) =>
        answer.ok
          ? { runs: answer.value, trouble: null }
          : { runs: before.runs, trouble: answer.error },
      );
      timer = window.setTimeout(() => void ask(), ASKS_AGAIN_MS);
    };
    void ask();
    return () => {
      clearTimeout(timer);
      timer = -1;
    };
  }, []);
  return state;
}

export function HomeScreen(): ReactNode {
  const { home, frame } = texts;
  const { runs, trouble } = useRuns();
  return (
    <div className="stack loose">
      <div className="hero">
        <h1>{home.title}</h1>
        <p className="lead-text">{home.lead}</p>
      </div>
      {trouble ? (
        <Notice kind="warn" icon="away" title={frame.away}>
          {navigator.onLine ? frame.awayNever : frame.offline}
        </Notice>
      ) : null}
      <div className="grid two-one">
        <Card title={home.runsHere}>
          {runs === null ? <Meter value={null} label={frame.loading} /> : null}
          {runs?.length === 0 ? <Empty>{home.none}</Empty> : null}
          {runs?.length ? (
            <ul className="stack">
              {runs.map((run) => (
                <RunItem key={run.runId} run={run} />
              ))}
            </ul>
          ) : null}
        </Card>
        <LinkForm />
      </div>
    </div>
  );
}

function RunItem({ run }: { readonly run: RunSummary }): ReactNode {
  const { home, phases, watch } = texts;
  const isInvited = tokenOf(run.runId) !== null;
  const path = isInvited ? `/runs/${run.runId}` : `/runs/${run.runId}/watch`;
  const kind = run.phase === "paused" ? "warn" : run.phase === "finished" ? undefined : "live";
  return (
    <li className="stack tight">
      <div className="row between">
        <Link href={path} className="row">
          <b>{run.name}</b>
          <Icon name="next" className="mark" />
        </Link>
        <Chip kind={kind}>{phases[run.phase]}</Chip>
      </div>
      <Meter value={run.position / POSITION_END} label={watch.progress} />
      <p className="soft small">
        {home.round(run.round)}
        {isInvited ? `, ${home.invited}` : ""}
      </p>
    </li>
  );
}

function LinkForm(): ReactNode {
  const { home } = texts;
  const [, go] = useLocation();
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const id = useId();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const link = parseLink(text);
    if (!link) {
      setProblem(home.notALink);
      return;
    }
    const url = new URL(text.trim());
    if (url.origin !== location.origin) location.assign(url.href);
    else {
      keepLink(link);
      go(`/runs/${link.runId}`);
    }
  };
  return (
    <Card title={home.withLink}>
      <form className="stack" onSubmit={submit}>
        <div className="stack tight">
          <label htmlFor={id}>{home.paste}</label>
          <input
            id={id}
            type="text"
            inputMode="url"
            autoComplete="off"
            spellCheck={false}
            value={text}
            aria-describedby={`${id}-help`}
            aria-invalid={problem !== null}
            onChange={(event) => {
              setText(event.target.value);
              setProblem(null);
            }}
          />
          <p className="soft small" id={`${id}-help`}>
            {home.pasteHelp}
          </p>
        </div>
        {problem === null ? null : <Notice kind="bad">{problem}</Notice>}
        <Button kind="main" type="submit" disabled={text.trim() === ""}>
          {home.open}
        </Button>
      </form>
    </Card>
  );
}
