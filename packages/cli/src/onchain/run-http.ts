// Questions to a coordinator about one run, with the run's token.
// Not the worker's way: that one is metered, and made for blobs.
import { messageOf } from "@manyhands/base/errors";
import { CommandError } from "../terminal/failure.ts";

/** @throws CommandError if nobody answers, or says no */
export async function ask(url: string, token: string, init: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, connection: "close" };
  const response = await fetch(url, { ...init, headers }).catch((cause: unknown) => {
    const hint = "Is the coordinator running, and can this machine reach it?";
    throw new CommandError(`no answer from ${url}: ${messageOf(cause)}`, { cause, hint });
  });
  if (response.ok) return response;
  const words = (await response.text()).slice(0, 500);
  throw new CommandError(`${url} answered with status ${response.status}: ${words}`);
}
