// One text as it is written: the prompt, what the model adds, and how far it is.
import type { ReactNode } from "react";
import { sentence } from "../../format.ts";
import type { Loading } from "../../model/model-news.ts";
import { texts } from "../../texts.ts";
import { Card, Meter, Notice } from "../../ui/parts.tsx";
import type { Text } from "./use-model.ts";

export type StoryProps = {
  /** Null before anything was asked for. */
  readonly text: Text | null;
  readonly prompt: string;
  readonly isNewest: boolean;
  /** Whether a token is a byte. */
  readonly isBytes: boolean;
};

export function Story({ text, prompt, isNewest, isBytes }: StoryProps): ReactNode {
  const { model } = texts;
  if (text === null) {
    return (
      <Card>
        <div className="story soft">{model.begin}</div>
      </Card>
    );
  }
  const { rounds, perSecond, loading, isWriting, problem } = text;
  const title =
    rounds === null ? undefined : `${model.after(rounds)}${isNewest ? ` (${model.newest})` : ""}`;
  return (
    <Card {...(title === undefined ? {} : { title })}>
      {loading ? <LoadingLine loading={loading} /> : null}
      {problem === null ? (
        <div className="story" aria-live="off" aria-busy={isWriting}>
          <b>{prompt}</b>
          {text.text}
          {isWriting ? <span className="caret" /> : null}
        </div>
      ) : (
        <Notice kind="bad" title={model.failed}>
          {sentence(problem)}
        </Notice>
      )}
      {rounds !== null && perSecond > 0 ? (
        <p className="soft small" role="status">
          {model.verified} {isWriting ? "" : model.perSecond(perSecond, isBytes)}
        </p>
      ) : null}
    </Card>
  );
}

function LoadingLine({ loading }: { readonly loading: Loading }): ReactNode {
  const { model, contribute } = texts;
  const { what, done, total } = loading;
  const words = {
    weights: model.fetching(model.fetchWeights),
    rounds: model.following(done, total),
    base: model.fetching(model.fetchBase),
    words: model.fetching(model.fetchWords),
    runtime: model.fetching(model.fetchRuntime),
    graph: model.preparing,
  }[what];
  const isBytes = what !== "rounds" && what !== "graph";
  return (
    <div className="stack tight">
      <p className="soft small" role="status">
        {words} {isBytes ? <span>({contribute.readingOf(done, total)})</span> : null}
      </p>
      <Meter value={total > 0 ? done / total : null} label={words} />
    </div>
  );
}
