// Questions to a coordinator about one run, with the run's token.
// Not the worker's way: that one is metered, and made for blobs.
import { messageOf } from "@manyhands/base/errors";
import { CommandError } from "../terminal/failure.ts";

/** No answer of a coordinator is longer, nor takes longer: whoever serves it may be hostile. */
const ANSWER_BYTES_MAX = 64 * 1_024 * 1_024;
const ANSWER_MS_MAX = 300_000;
const HINT = { hint: "Is the coordinator running, and can this machine reach it?" };

/** @returns the whole answer @throws CommandError if nobody answers, says no, or never ends */
export async function ask(url: string, token: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, connection: "close" };
  const signal = AbortSignal.timeout(ANSWER_MS_MAX);
  const answered = (async (): Promise<Response> => {
    const { body, status } = await fetch(url, { ...init, headers, signal });
    return new Response(body && (await whole(body)), { status });
  })();
  const response = await answered.catch((cause: unknown) => {
    throw new CommandError(`no answer from ${url}: ${messageOf(cause)}`, { cause, ...HINT });
  });
  if (response.ok) return response;
  const words = (await response.text()).slice(0, 500);
  throw new CommandError(`${url} answered with status ${response.status}: ${words}`);
}

async function whole(body: AsyncIterable<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body) {
    length += piece.length;
    if (length > ANSWER_BYTES_MAX) {
      throw new CommandError(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`);
    }
    pieces.push(piece);
  }
  return new Uint8Array(Buffer.concat(pieces));
}
