// The run that a link names, read from the first row of its log and checked against the name.
// Nothing heavy: what a device wants to know before it decides how to take part.
import { problemText } from "@manyhands/base/decode";
import { messageOf } from "@manyhands/base/errors";
import { err, ok, type Result } from "@manyhands/base/result";
import type { HttpSend } from "@manyhands/net/http";
import { eventDecoder } from "@manyhands/protocol/events";
import { type FrozenRun, runIdOf } from "@manyhands/protocol/run-config";
import type { JoinUrl } from "./join-url.ts";

/** A first row holds the whole run: many fragments, many files. */
const ROW_BYTES_MAX = 16 * 1024 * 1024;

/** What a person should know when something is wrong, and what to do. */
export type Trouble = {
  readonly message: string;
  readonly hint: string | null;
  /** Nobody answered: it may go by itself. */
  readonly isAway?: true;
};

/** The run that a link names, checked against the name. */
export async function fetchRun(
  target: JoinUrl,
  send: HttpSend,
): Promise<Result<FrozenRun, Trouble>> {
  let text: string;
  try {
    const response = await send({
      method: "GET",
      url: `${target.runUrl}/log?from=0&limit=1`,
      headers: { authorization: `Bearer ${target.token}` },
    });
    text = await textOf(response.body);
    if (response.status !== 200) return err(refusal(response.status));
  } catch (caught) {
    const hint = "Is the coordinator running, and is this device in the same network?";
    const message = `The coordinator does not answer: ${messageOf(caught)}`;
    return err({ message, hint, isAway: true });
  }
  return runIn(text, target.runId);
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of body) {
    if (text.length < ROW_BYTES_MAX) text += decoder.decode(piece, { stream: true });
  }
  return text;
}

function refusal(status: number): Trouble {
  const hint = "Ask for the join link again, and open it as a whole.";
  if (status === 401 || status === 403) {
    return { message: "The link’s token is not this run’s.", hint };
  }
  if (status === 404) return { message: "There is no such run here.", hint };
  return { message: `The coordinator answered HTTP ${status}.`, hint: "Try again a little later." };
}

function runIn(text: string, runId: string): Result<FrozenRun, Trouble> {
  const foreign = (why: string) => {
    const hint = "Reload the page to get the version that the coordinator serves.";
    return err({ message: `The run cannot be read: ${why}.`, hint });
  };
  let event: unknown;
  try {
    const row: unknown = JSON.parse(text);
    const inner = typeof row === "object" && row !== null ? Reflect.get(row, "event") : null;
    event = JSON.parse(String(inner));
  } catch {
    return foreign("its first entry is not JSON");
  }
  const decoded = eventDecoder(event);
  if (!decoded.ok) return foreign(problemText(decoded.error));
  if (decoded.value.type !== "RunCreated") return foreign("its log begins with something else");
  const { run } = decoded.value;
  return runIdOf(run) === runId ? ok(run) : foreign("it is not the run that the link names");
}
