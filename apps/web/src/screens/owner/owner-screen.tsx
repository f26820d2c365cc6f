// The owner's screen: which run, the token, and then what only the owner may.
import { type FormEvent, type ReactNode, useEffect, useId, useState } from "react";
import { askJson } from "../../feed/http.ts";
import { texts } from "../../texts.ts";
import { Button, Card, Empty, Meter, Notice, Title } from "../../ui/parts.tsx";
import { CreateRun } from "./create-run.tsx";
import { OwnRun } from "./own-run.tsx";
import { keepOwnerToken, ownerTokenOf } from "./owner-token.ts";

type RunSummary = { readonly runId: string; readonly name: string };

export function OwnerScreen(): ReactNode {
  const { owner } = texts;
  const [runs, setRuns] = useState<readonly RunSummary[] | null>(null);
  const [created, setCreated] = useState<string | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new run is in a new list
  useEffect(() => {
    void askJson<readonly RunSummary[]>("/runs").then((answer) =>
      setRuns(answer.ok ? answer.value : []),
    );
  }, [created]);
  return (
    <div className="stack">
      <Title title={owner.title}>{owner.lead}</Title>
      {runs === null ? <Meter value={null} label={texts.frame.loading} /> : null}
      {runs === null ? null : <Runs key={created} runs={runs} first={created} />}
      <CreateRun onCreated={setCreated} />
    </div>
  );
}

type RunsProps = {
  readonly runs: readonly RunSummary[];
  /** The one to begin with. */
  readonly first: string | null;
};

function Runs({ runs, first }: RunsProps): ReactNode {
  const { owner, home } = texts;
  const [picked, setChosen] = useState(first);
  const own = runs.find(({ runId }) => ownerTokenOf(runId) !== null);
  const chosen = picked ?? own?.runId ?? runs[0]?.runId ?? null;
  const id = useId();
  if (chosen === null) {
    return (
      <Card>
        <Empty>{home.none}</Empty>
      </Card>
    );
  }
  return (
    <>
      {runs.length > 1 ? (
        <div className="stack tight">
          <label htmlFor={id}>{owner.pickRun}</label>
          <select id={id} value={chosen} onChange={(event) => setChosen(event.target.value)}>
            {runs.map(({ runId, name }) => (
              <option key={runId} value={runId}>
                {name}
              </option>
            ))}
          </select>
        </div>
      ) : null}
      <WithToken key={chosen} runId={chosen} />
    </>
  );
}

/** Asks for the token of a run, and shows the run to whoever has it. */
function WithToken({ runId }: { readonly runId: string }): ReactNode {
  const [token, setToken] = useState(() => ownerTokenOf(runId));
  const change = (next: string | null): void => {
    keepOwnerToken(runId, next);
    setToken(next);
  };
  if (token === null) return <TokenForm runId={runId} onToken={change} />;
  return <OwnRun runId={runId} token={token} onForget={() => change(null)} />;
}

type TokenFormProps = {
  readonly runId: string;
  readonly onToken: (token: string) => void;
};

function TokenForm({ runId, onToken }: TokenFormProps): ReactNode {
  const { owner } = texts;
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const id = useId();
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const token = text.trim();
    // Only the owner may list the export: the cheapest question that proves the token.
    const answer = await askJson(`/runs/${runId}/export`, { token });
    if (answer.ok) onToken(token);
    else setProblem(answer.error.kind === "refused" ? owner.wrong : answer.error.message);
  };
  return (
    <Card title={owner.tokenTitle}>
      <form className="stack" onSubmit={(event) => void submit(event)}>
        <div className="stack tight">
          <label htmlFor={id}>{owner.token}</label>
          <input
            id={id}
            type="password"
            autoComplete="off"
            value={text}
            aria-describedby={`${id}-help`}
            onChange={(event) => {
              setText(event.target.value);
              setProblem(null);
            }}
          />
          <p className="soft small" id={`${id}-help`}>
            {owner.tokenHelp}
          </p>
        </div>
        {problem === null ? null : <Notice kind="bad">{problem}</Notice>}
        <div>
          <Button kind="main" type="submit" disabled={text.trim() === ""}>
            {owner.enter}
          </Button>
        </div>
      </form>
    </Card>
  );
}
