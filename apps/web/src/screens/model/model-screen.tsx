// Try the model: it writes here, on this device, with the run's newest weights, or with those of
// two rounds side by side.
import { type ReactNode, useId, useState } from "react";
import type { RunView } from "../../feed/run-view.ts";
import { writingMemory } from "../../model/memory.ts";
import type { WriteOrder } from "../../model/model-news.ts";
import { texts } from "../../texts.ts";
import { Button, Card, Meter, Notice, Slider, Switch, Title } from "../../ui/parts.tsx";
import { ConnectionNotice, isUnknown, UnknownRun } from "../connection.tsx";
import { useThisRun } from "../use-this-run.ts";
import { Story } from "./story.tsx";
import { useModel } from "./use-model.ts";

type Choices = {
  readonly prompt: string;
  readonly temperature: number;
  readonly topP: number;
  readonly count: number;
  readonly seed: number;
  /** The prompt is said to the model, which answers. */
  readonly chat: boolean;
  /** Rounds of the second text; null for none. */
  readonly compared: number | null;
};

const DEFAULTS: Choices = {
  prompt: texts.model.promptDefault,
  temperature: 0.8,
  topP: 0.95,
  count: 400,
  seed: 1,
  chat: false,
  compared: null,
};

export function ModelScreen(): ReactNode {
  const { view, token } = useThisRun();
  const { model, frame } = texts;
  if (isUnknown(view)) return <UnknownRun />;
  return (
    <div className="stack">
      <Title title={model.title}>{model.lead}</Title>
      <ConnectionNotice view={view} />
      {token === null ? <Notice>{frame.needsLink}</Notice> : null}
      {token !== null && view.run === null ? <Meter value={null} label={frame.loading} /> : null}
      {token !== null && view.run !== null ? (
        <Desk view={view} token={token} run={view.run} />
      ) : null}
    </div>
  );
}

type DeskProps = {
  readonly view: RunView;
  readonly token: string;
  readonly run: NonNullable<RunView["run"]>;
};

function Desk({ view, token, run }: DeskProps): ReactNode {
  const { model: words } = texts;
  const model = useModel();
  const [choices, setChoices] = useState(DEFAULTS);
  const [prompt, setPrompt] = useState(DEFAULTS.prompt);
  const closed = view.status?.round ?? 0;
  const { needBytes, mayBytes, isTooLarge } = writingMemory(run);
  const isBytes = run.tokenizer === "bytes";
  const change = (part: Partial<Choices>): void => setChoices({ ...choices, ...part });
  const write = (): void => {
    const { compared, ...rest } = choices;
    const shared = { kind: "write", runId: view.runId, token, run, ...rest } as const;
    const orders: WriteOrder[] = [{ ...shared, place: 0, rounds: null }];
    if (compared !== null) orders.push({ ...shared, place: 1, rounds: Math.min(compared, closed) });
    setPrompt(choices.prompt);
    model.write(orders);
  };
  const shownTexts = model.texts.length === 0 ? [null] : model.texts;
  return (
    <div className="grid two-one">
      <div className="stack">
        <Card>
          <Prompt value={choices.prompt} onChange={(value) => change({ prompt: value })} />
          <div className="row wrap">
            {model.isBusy ? (
              <Button onClick={model.stop}>{words.stop}</Button>
            ) : (
              <Button kind="main" icon="model" disabled={isTooLarge} onClick={write}>
                {words.generate}
              </Button>
            )}
            <span className="soft small">{words.memory(needBytes)}</span>
          </div>
        </Card>
        {isTooLarge ? (
          <Notice kind="bad" title={words.tooLargeTitle}>
            {words.tooLarge(needBytes, mayBytes)}
          </Notice>
        ) : null}
        <div className={shownTexts.length > 1 ? "grid two" : "grid"}>
          {shownTexts.map((text, place) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a text's place is what it is
            <Story key={place} {...{ text, prompt, isBytes }} isNewest={place === 0} />
          ))}
        </div>
      </div>
      <ChoicesCard {...{ choices, closed, isBytes, change }} />
    </div>
  );
}

type PromptProps = { readonly value: string; readonly onChange: (value: string) => void };

function Prompt({ value, onChange }: PromptProps): ReactNode {
  const id = useId();
  return (
    <div className="stack tight">
      <label htmlFor={id}>{texts.model.prompt}</label>
      <textarea
        id={id}
        value={value}
        maxLength={2_000}
        spellCheck={false}
        onChange={(event) => onChange(event.target.value)}
      />
    </div>
  );
}

type ChoicesCardProps = {
  readonly choices: Choices;
  readonly closed: number;
  readonly isBytes: boolean;
  readonly change: (part: Partial<Choices>) => void;
};

function ChoicesCard({ choices, closed, isBytes, change }: ChoicesCardProps): ReactNode {
  const { model } = texts;
  const { temperature, topP, count, compared, seed, chat } = choices;
  return (
    <Card>
      <div>
        <Slider
          label={model.temperature}
          help={model.temperatureHelp}
          {...{ value: temperature, min: 0, max: 1.5, step: 0.05 }}
          words={temperature.toFixed(2)}
          onChange={(value) => change({ temperature: value })}
        />
        <Slider
          label={model.topP}
          help={model.topPHelp}
          {...{ value: topP, min: 0.05, max: 1, step: 0.05 }}
          words={topP.toFixed(2)}
          onChange={(value) => change({ topP: value })}
        />
        <Slider
          label={model.length}
          {...{ value: count, min: 50, max: 2_000, step: 50 }}
          words={isBytes ? model.characters(count) : model.tokens(count)}
          onChange={(value) => change({ count: value })}
        />
        <Slider
          label={model.seed}
          {...{ value: seed, min: 1, max: 100, step: 1 }}
          words={String(seed)}
          onChange={(value) => change({ seed: value })}
        />
        {isBytes ? null : (
          <Switch
            label={model.chat}
            help={model.chatHelp}
            checked={chat}
            onChange={(checked) => change({ chat: checked })}
          />
        )}
        <Switch
          label={model.compare}
          checked={compared !== null}
          disabled={closed === 0}
          onChange={(checked) => change({ compared: checked ? 0 : null })}
        />
        {compared === null ? null : (
          <Slider
            label={model.rounds}
            {...{ value: Math.min(compared, closed), min: 0, max: closed, step: 1 }}
            words={model.after(Math.min(compared, closed))}
            onChange={(value) => change({ compared: value })}
          />
        )}
      </div>
    </Card>
  );
}
