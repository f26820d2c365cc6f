// Lines of data that were left out: the first of them by name, all of them by number.
import type { BadLine } from "@manyhands/engine/data/examples";
import { groupedText } from "./format.ts";
import { type Io, remark } from "./io.ts";

const SHOWN_MAX = 20;

export type BadLines = {
  /** The first of them. */
  readonly badLines: readonly BadLine[];
  readonly count: number;
  /** What makes the first one end it: a flag, or a field of the run file. */
  readonly strict: string;
};

export function tellBadLines({ badLines, count, strict }: BadLines, io: Io): void {
  if (count === 0) return;
  const shown = badLines.slice(0, SHOWN_MAX);
  for (const { file, line, reason } of shown) remark(io, `${file}, line ${line}: ${reason}`);
  const more = count - shown.length;
  if (more > 0) remark(io, `and ${groupedText(more)} more`);
  const lines = count === 1 ? "1 bad line is" : `${groupedText(count)} bad lines are`;
  remark(io, `${lines} left out (${strict} ends at the first).`);
}
