// The log's rows, newest first, each to open: its event as signed, its hashes, its signature.
import type { LogRow } from "@manyhands/coordinator/log/log";
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { entryOfRow } from "../../feed/fold.ts";
import { useRun } from "../../feed/use-run.ts";
import { clockText, groupedText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Icon } from "../../ui/icons.tsx";
import { Button, Card, classes, Empty, Fields } from "../../ui/parts.tsx";
import { type RowPlace, VirtualList } from "../../ui/virtual-list.tsx";
import { sentenceOf } from "../watch/feed-card.tsx";
import { type Rows, useRows } from "./use-rows.ts";

const ROW_HEIGHT = 44;

export type LogListProps = {
  readonly runId: string;
  readonly token: string;
  readonly rows: number;
  /** Rows from the first on that were found sound. */
  readonly checked: number;
  readonly damaged: number | null;
  readonly shown: number | null;
  readonly onShow: (row: number | null) => void;
};

export function LogList(props: LogListProps): ReactNode {
  const { runId, token, rows: count, shown, onShow } = props;
  const { ledger } = texts;
  const rows = useRows(runId, token);
  const sequenceAt = (index: number): number => count - 1 - index;
  const row = (index: number, place: RowPlace): ReactNode => {
    const sequence = sequenceAt(index);
    return (
      <li key={sequence} className="list-row" {...place}>
        <RowButton {...props} sequence={sequence} row={rows.row(sequence)} />
      </li>
    );
  };
  return (
    <Card
      title={ledger.browse}
      aside={<GoTo count={count} onGo={(sequence) => onShow(Math.min(sequence, count - 1))} />}
    >
      {count === 0 ? (
        <Empty>{ledger.empty}</Empty>
      ) : (
        <VirtualList
          label={ledger.title}
          count={count}
          rowHeight={ROW_HEIGHT}
          heightMax={440}
          anchor="top"
          reveal={shown === null ? null : sequenceAt(shown)}
          row={row}
        />
      )}
      {shown === null ? null : <RowDetail rows={rows} shown={shown} onClose={() => onShow(null)} />}
    </Card>
  );
}

function GoTo({
  count,
  onGo,
}: {
  readonly count: number;
  readonly onGo: (sequence: number) => void;
}): ReactNode {
  const { ledger } = texts;
  const [text, setText] = useState("");
  const id = useId();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (/^\d{1,9}$/.test(text)) onGo(Number(text));
  };
  return (
    <form className="row" onSubmit={submit}>
      <span className="soft small">{ledger.rows(count)}</span>
      <label className="visually-hidden" htmlFor={id}>
        {ledger.goTo}
      </label>
      <input
        id={id}
        type="text"
        inputMode="numeric"
        placeholder={ledger.goTo}
        style={{ width: 116 }}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
    </form>
  );
}

type RowButtonProps = LogListProps & { readonly sequence: number; readonly row: LogRow | null };

function RowButton(props: RowButtonProps): ReactNode {
  const { sequence, row, checked, damaged, shown, onShow, runId, token } = props;
  const view = useRun(runId, token);
  const entry = row ? entryOfRow(row) : null;
  const isDamaged = damaged === sequence;
  const isSound = sequence < checked && !isDamaged;
  const words = entry
    ? sentenceOf(view, entry)
    : (row?.event.slice(0, 80) ?? texts.ledger.loadingRow);
  return (
    <button
      type="button"
      className={classes("list-row ledger-row", shown === sequence && "on")}
      style={{ inset: 0, borderBottomWidth: 0 }}
      aria-expanded={shown === sequence}
      onClick={() => onShow(shown === sequence ? null : sequence)}
    >
      <Icon
        name={isDamaged ? "cross" : isSound ? "check" : "dot"}
        className={classes("mark", isDamaged ? "bad" : isSound && "good")}
      />
      <span className="sequence">{groupedText(sequence)}</span>
      <span className="grow cut">{words}</span>
      <span className="soft small">{entry ? clockText(entry.tick) : ""}</span>
    </button>
  );
}

type RowDetailProps = {
  readonly rows: Rows;
  readonly shown: number;
  readonly onClose: () => void;
};

function RowDetail({ rows, shown, onClose }: RowDetailProps): ReactNode {
  const { ledger } = texts;
  const row = rows.row(shown);
  const value = (text: string | undefined): ReactNode => (
    <code style={{ overflowWrap: "anywhere" }}>{text ?? ledger.loadingRow}</code>
  );
  return (
    <section className="stack" aria-label={ledger.row(shown)}>
      <div className="row between">
        <h3>{ledger.row(shown)}</h3>
        <Button kind="bare" icon="cross" onClick={onClose}>
          {ledger.close}
        </Button>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls needs the keyboard */}
      <pre className="json" tabIndex={0}>
        {row ? prettyJson(row.event) : ledger.loadingRow}
      </pre>
      <Fields
        fields={(["entry", "previousHead", "head", "signature"] as const).map((name) => ({
          name: ledger.fields[name],
          value: value(row?.[name]),
        }))}
      />
    </section>
  );
}

const SHOWN_CHARS_MAX = 20_000;

/** With line breaks for reading. The signed text has none; a run's creation may be very long. */
function prettyJson(text: string): string {
  try {
    const pretty = JSON.stringify(JSON.parse(text), null, 2);
    return pretty.length > SHOWN_CHARS_MAX ? `${pretty.slice(0, SHOWN_CHARS_MAX)}\n…` : pretty;
  } catch {
    // Damaged rows are shown as they are.
    return text;
  }
}
