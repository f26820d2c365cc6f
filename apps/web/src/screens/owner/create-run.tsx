// A new run from a template: a name, a text file, a size, a budget. The host makes it.
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { Link } from "wouter";
import { askJson } from "../../feed/http.ts";
import { keepLink, parseLink } from "../../feed/links.ts";
import { bytesText, countText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Button, Card, Notice, Slider } from "../../ui/parts.tsx";
import { HOST, keepOwnerToken, ownerTokenOf } from "./owner-token.ts";

/** Parameters of each template, and the budgets that the slider offers. */
const TEMPLATES = {
  tiny: { parameters: 133_440 },
  small: { parameters: 820_352 },
  medium: { parameters: 12_588_672 },
} as const;
type Template = keyof typeof TEMPLATES;
const TEMPLATE_NAMES = ["tiny", "small", "medium"] as const;
const BUDGETS = [100_000, 300_000, 1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9] as const;

type Created = { readonly runId: string; readonly joinUrl: string; readonly ownerToken: string };

type Draft = {
  readonly name: string;
  readonly template: Template;
  readonly budget: number;
  readonly file: File | null;
  readonly token: string;
};

type Outcome =
  | { readonly kind: "asking" }
  | { readonly kind: "created"; readonly created: Created }
  | { readonly kind: "failed"; readonly message: string };

async function create(draft: Draft & { readonly file: File }): Promise<Outcome> {
  const { name, template, budget, file, token } = draft;
  const choices = { name: name.trim(), template, tokens: BUDGETS[budget], fileName: file.name };
  const path = `/runs?choices=${encodeURIComponent(JSON.stringify(choices))}`;
  const answer = await askJson<Created>(path, { token, method: "POST", body: file });
  if (!answer.ok) {
    const { kind, message } = answer.error;
    const words = { refused: texts.owner.wrong, unknown: texts.owner.createOff };
    const known = kind === "refused" || kind === "unknown" ? words[kind] : message;
    return { kind: "failed", message: known };
  }
  const created = answer.value;
  const link = parseLink(created.joinUrl);
  if (link) keepLink(link);
  keepOwnerToken(HOST, token);
  keepOwnerToken(created.runId, created.ownerToken);
  return { kind: "created", created };
}

export type CreateRunProps = {
  /** The run is there, and this browser has its tokens. */
  readonly onCreated: (runId: string) => void;
};

export function CreateRun({ onCreated }: CreateRunProps): ReactNode {
  const { owner } = texts;
  const [draft, setDraft] = useState<Draft>(() => ({
    name: "",
    template: "small",
    budget: 3,
    file: null,
    token: ownerTokenOf(HOST) ?? "",
  }));
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const change = (part: Partial<Draft>): void => setDraft({ ...draft, ...part });
  const { file } = draft;
  const isReady = file !== null && draft.name.trim() !== "" && draft.token !== "";
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (file === null) return;
    setOutcome({ kind: "asking" });
    const made = await create({ ...draft, file });
    setOutcome(made);
    if (made.kind === "created") onCreated(made.created.runId);
  };
  return (
    <Card title={owner.createTitle}>
      <form className="stack" onSubmit={(event) => void submit(event)}>
        <div className="grid two">
          <NameAndFile draft={draft} change={change} />
          <SizeAndBudget draft={draft} change={change} />
        </div>
        <OutcomeNotice outcome={outcome} />
        <div>
          <Button kind="main" type="submit" disabled={!isReady || outcome?.kind === "asking"}>
            {outcome?.kind === "asking" ? owner.creating : owner.create}
          </Button>
        </div>
      </form>
    </Card>
  );
}

type DraftProps = {
  readonly draft: Draft;
  readonly change: (part: Partial<Draft>) => void;
};

function NameAndFile({ draft, change }: DraftProps): ReactNode {
  const { owner } = texts;
  const id = useId();
  return (
    <div className="stack">
      <div className="stack tight">
        <label htmlFor={`${id}-name`}>{owner.name}</label>
        <input
          id={`${id}-name`}
          type="text"
          maxLength={64}
          autoComplete="off"
          value={draft.name}
          onChange={(event) => change({ name: event.target.value })}
        />
      </div>
      <div className="stack tight">
        <label htmlFor={`${id}-file`}>{owner.dataFile}</label>
        <input
          id={`${id}-file`}
          type="file"
          accept="text/*,.txt,.md,.jsonl"
          aria-describedby={`${id}-file-help`}
          onChange={(event) => change({ file: event.target.files?.[0] ?? null })}
        />
        <p className="soft small" id={`${id}-file-help`}>
          {draft.file ? bytesText(draft.file.size) : owner.dataHelp}
        </p>
      </div>
      <div className="stack tight">
        <label htmlFor={`${id}-token`}>{owner.hostToken}</label>
        <input
          id={`${id}-token`}
          type="password"
          autoComplete="off"
          value={draft.token}
          aria-describedby={`${id}-token-help`}
          onChange={(event) => change({ token: event.target.value.trim() })}
        />
        <p className="soft small" id={`${id}-token-help`}>
          {owner.hostTokenHelp}
        </p>
      </div>
    </div>
  );
}

function SizeAndBudget({ draft, change }: DraftProps): ReactNode {
  const { owner } = texts;
  const id = useId();
  const { template, budget, file } = draft;
  const tokens = BUDGETS[budget] ?? BUDGETS[0];
  return (
    <div className="stack">
      <div className="stack tight">
        <label htmlFor={`${id}-template`}>{owner.template}</label>
        <select
          id={`${id}-template`}
          value={template}
          onChange={(event) => {
            const found = TEMPLATE_NAMES.find((name) => name === event.target.value);
            if (found) change({ template: found });
          }}
        >
          {TEMPLATE_NAMES.map((name) => (
            <option key={name} value={name}>
              {owner.templates[name]}
            </option>
          ))}
        </select>
        <p className="soft small">
          {owner.size}: {owner.sizeWords(TEMPLATES[template].parameters)}
        </p>
      </div>
      <Slider
        label={owner.budget}
        {...{ value: budget, min: 0, max: BUDGETS.length - 1, step: 1 }}
        words={countText(tokens)}
        help={file ? owner.budgetHelp((tokens / Math.max(1, file.size)).toPrecision(2)) : undefined}
        onChange={(value) => change({ budget: value })}
      />
    </div>
  );
}

function OutcomeNotice({ outcome }: { readonly outcome: Outcome | null }): ReactNode {
  const { owner, home } = texts;
  if (outcome?.kind === "failed") return <Notice kind="bad">{outcome.message}</Notice>;
  if (outcome?.kind !== "created") return null;
  return (
    <Notice kind="good" title={owner.created}>
      <Link href={`/runs/${outcome.created.runId}`}>{home.open}</Link>
    </Notice>
  );
}
