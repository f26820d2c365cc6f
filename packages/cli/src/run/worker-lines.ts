// The lines that `join --json` prints, one JSON object each: its status, notices, and how it ended.
import {
  checked,
  type Decoded,
  integer,
  nullable,
  object,
  oneOf,
  real,
  tagged,
  text,
} from "@manyhands/base/decode";

const anyText = checked("a text", (value): value is string => typeof value === "string");

const lineDecoder = tagged("type", {
  status: object({
    type: oneOf("status"),
    sentence: anyText,
    doing: anyText,
    workerId: anyText,
    connected: checked("true or false", (value): value is boolean => typeof value === "boolean"),
    round: nullable(integer(0)),
    innerStep: integer(0),
    innerSteps: integer(0),
    loss: nullable(real(-1e9, 1e9)),
    tokensPerSecond: real(0, 1e12),
    tokensGiven: integer(0),
    acceptedUpdates: integer(0),
    bytesUp: integer(0),
    bytesDown: integer(0),
  }),
  notice: object({ type: oneOf("notice"), sentence: anyText }),
  end: object({
    type: oneOf("end"),
    reason: text(64),
    sentence: anyText,
    code: nullable(anyText),
  }),
});
export type WorkerLine = Decoded<typeof lineDecoder>;
export type WorkerEndLine = Extract<WorkerLine, { type: "end" }>;

/** Undefined for anything else: a child's stray output is no reason to fail. */
export function decodeWorkerLine(line: string): WorkerLine | undefined {
  try {
    const decoded = lineDecoder(JSON.parse(line));
    return decoded.ok ? decoded.value : undefined;
  } catch {
    return undefined; // not JSON
  }
}
