// The usual port, so that workers find a restarted coordinator; any free one if somebody else has
// it.
import { ListenError } from "@manyhands/coordinator/errors";
import { DEFAULT_PORT } from "../commands/options.ts";

/** @param asked the port that a person gave; then no other will do */
export async function listenAndStart<T>(
  asked: number | undefined,
  start: (port: number) => Promise<T>,
): Promise<T> {
  if (asked !== undefined) return start(asked);
  try {
    return await start(DEFAULT_PORT);
  } catch (caught) {
    if (!(caught instanceof ListenError)) throw caught;
    return start(0);
  }
}
