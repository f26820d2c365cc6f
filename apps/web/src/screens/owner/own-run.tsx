// One run in its owner's hands: pause, go on, stop, invite, and the model at the end.
import { lazy, type ReactNode, Suspense, useEffect, useState } from "react";
import { ask, askJson } from "../../feed/http.ts";
import { joinLinkOf, tokenOf } from "../../feed/links.ts";
import type { RunView } from "../../feed/run-view.ts";
import { useRun } from "../../feed/use-run.ts";
import { bytesText, countText, lossText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Button, Card, Chip, Fields, Meter, Notice } from "../../ui/parts.tsx";
import { ConnectionNotice } from "../connection.tsx";
import { saveFile } from "../people/save-picture.ts";
import { phaseKind } from "../watch/phase-kind.ts";

const POSITION_END = 1e6;
/** Only runs that pay load it. */
const OwnPay = lazy(async () => ({ default: (await import("./own-pay.tsx")).OwnPay }));

export type OwnRunProps = {
  readonly runId: string;
  readonly token: string;
  readonly onForget: () => void;
};

export function OwnRun({ runId, token, onForget }: OwnRunProps): ReactNode {
  const view = useRun(runId, tokenOf(runId) ?? token);
  const { owner } = texts;
  return (
    <div className="stack">
      <ConnectionNotice view={view} />
      <div className="grid two">
        <Wishes view={view} token={token} />
        <Invite runId={runId} />
        <ExportCard view={view} token={token} />
        {view.run?.pay ? (
          <Suspense>
            <OwnPay view={view} token={token} />
          </Suspense>
        ) : null}
      </div>
      <div>
        <Button kind="bare" onClick={onForget}>
          {owner.forget}
        </Button>
      </div>
    </div>
  );
}

type Wish = "pause" | "resume" | "stop";
type WithToken = { readonly view: RunView; readonly token: string };

function Wishes({ view, token }: WithToken): ReactNode {
  const { owner, phases, watch } = texts;
  const [isStopping, setStopping] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const { status } = view;
  if (status === null) return <Meter value={null} label={texts.frame.loading} />;
  const wish = async (what: Wish): Promise<void> => {
    setStopping(false);
    const answer = await ask(`/runs/${view.runId}/${what}`, { token, method: "POST" });
    setProblem(answer.ok ? null : answer.error.message);
  };
  const isPaused = status.phase === "paused";
  const isOver = status.phase === "finished";
  return (
    <Card
      title={status.name}
      aside={<Chip kind={phaseKind(status.phase)}>{phases[status.phase]}</Chip>}
    >
      <Meter value={status.position / POSITION_END} label={watch.progress} />
      <p className="soft small">
        {countText(status.tokensCommitted)} {texts.people.tokens},{" "}
        {lossText(status.trainLoss.at(-1)?.loss)} {watch.lossHelp}
      </p>
      {status.wish === null ? null : <Notice>{watch.wishes[status.wish]}</Notice>}
      {problem === null ? null : <Notice kind="bad">{problem}</Notice>}
      {isOver ? <Notice kind="good">{watch.finishedTitle}</Notice> : null}
      {!isOver && !isStopping ? (
        <div className="row wrap">
          <Button
            kind={isPaused ? "main" : undefined}
            icon={isPaused ? "play" : "pause"}
            onClick={() => void wish(isPaused ? "resume" : "pause")}
          >
            {isPaused ? owner.resume : owner.pause}
          </Button>
          <Button kind="bad" onClick={() => setStopping(true)}>
            {owner.stop}
          </Button>
        </div>
      ) : null}
      {isStopping ? (
        <div className="stack tight">
          <p role="alert">{owner.stopSure}</p>
          <div className="row wrap">
            <Button kind="bad" onClick={() => void wish("stop")}>
              {owner.stopYes}
            </Button>
            <Button autoFocus onClick={() => setStopping(false)}>
              {owner.stopNo}
            </Button>
          </div>
        </div>
      ) : null}
    </Card>
  );
}

function Invite({ runId }: { readonly runId: string }): ReactNode {
  const { owner, frame } = texts;
  const [isCopied, setCopied] = useState(false);
  const link = joinLinkOf(runId);
  const copy = async (): Promise<void> => {
    if (link === null) return;
    await navigator.clipboard.writeText(link);
    setCopied(true);
  };
  return (
    <Card title={owner.invite}>
      {link === null ? (
        <Notice>{frame.needsLink}</Notice>
      ) : (
        <>
          <code style={{ overflowWrap: "anywhere" }}>{link}</code>
          <p className="soft small">{owner.inviteHelp}</p>
          <div className="row">
            <Button icon="share" onClick={() => void copy()}>
              {owner.copy}
            </Button>
            <span role="status" className="soft">
              {isCopied ? owner.copied : ""}
            </span>
          </div>
        </>
      )}
    </Card>
  );
}

type ExportedFile = { readonly name: string; readonly byteLength: number };

const ASKS_AGAIN_MS = 2_000;

/** The finished model's files. They come a while after the end: it is measured first. */
function useExport(runId: string, token: string, isOver: boolean): readonly ExportedFile[] {
  const [files, setFiles] = useState<readonly ExportedFile[]>([]);
  const isWaiting = isOver && files.length === 0;
  useEffect(() => {
    const ask = async (): Promise<void> => {
      const path = `/runs/${runId}/export`;
      const answer = await askJson<readonly ExportedFile[]>(path, { token });
      if (answer.ok) setFiles(answer.value);
    };
    void ask();
    const timer = isWaiting ? setInterval(() => void ask(), ASKS_AGAIN_MS) : undefined;
    return () => clearInterval(timer);
  }, [runId, token, isWaiting]);
  return files;
}

function ExportCard({ view, token }: WithToken): ReactNode {
  const { owner } = texts;
  const { runId } = view;
  const isOver = view.status?.phase === "finished";
  const files = useExport(runId, token, isOver);
  const [problem, setProblem] = useState<string | null>(null);
  const save = async (name: string): Promise<void> => {
    const path = `/runs/${runId}/export/${encodeURIComponent(name)}`;
    const answer = await ask(path, { token });
    if (answer.ok) saveFile(await answer.value.blob(), name);
    setProblem(answer.ok ? null : answer.error.message);
  };
  return (
    <Card title={owner.exportTitle}>
      {problem === null ? null : <Notice kind="bad">{problem}</Notice>}
      {files.length === 0 ? (
        <p className="soft">{isOver ? owner.exportSoon : owner.exportNotYet}</p>
      ) : (
        <>
          <p className="soft small">{owner.exportFiles}</p>
          <Fields
            fields={files.map(({ name, byteLength }) => ({
              name,
              value: (
                <Button kind="bare" icon="down" onClick={() => void save(name)}>
                  {bytesText(byteLength)}
                </Button>
              ),
            }))}
          />
        </>
      )}
    </Card>
  );
}
