// A join URL: where the coordinator is, which run, and the admission token in the fragment.
// The fragment is never sent in a request line, so it does not end up in proxies' logs.
import { isHex } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";

export type JoinUrl = {
  readonly runId: string;
  readonly token: string;
  /** Address of the run, without a slash at its end. */
  readonly runUrl: string;
  readonly socketUrl: string;
};

const HINT = "copy it from the coordinator: http://host:port/runs/<run id>#<token>";
const TOKEN_CHARS_MAX = 128;

/** @throws InputError if a part is missing; the message never repeats the token */
export function parseJoinUrl(text: string): JoinUrl {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new InputError("the join URL is not an http or https address", { hint: HINT });
  }
  const path = url.pathname.replace(/\/+$/, "");
  const runId = /\/runs\/([^/]+)$/.exec(path)?.[1] ?? "";
  if (!isHex(runId, 32)) {
    throw new InputError(`the join URL names no run: found the path ${url.pathname}`, {
      hint: HINT,
    });
  }
  const token = url.hash.slice(1);
  if (token.length === 0 || token.length > TOKEN_CHARS_MAX) {
    throw new InputError("the join URL has no admission token after #", { hint: HINT });
  }
  const runUrl = `${url.origin}${path}`;
  return { runId, token, runUrl, socketUrl: `${runUrl.replace(/^http/, "ws")}/socket` };
}
