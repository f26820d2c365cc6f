// What a device is called: its name, else the beginning of its id. A name may carry a team.
import type { RunStatus } from "@manyhands/coordinator/status";
import { shortId } from "../format.ts";

let cachedFor: RunStatus | null = null;
let cached = new Map<string, string>();

/** The display name of a worker. */
export function nameOf(status: RunStatus | null, workerId: string): string {
  if (status && status !== cachedFor) {
    cachedFor = status;
    cached = new Map(status.workers.map((worker) => [worker.workerId, worker.name]));
  }
  const name = partsOf(cached.get(workerId) ?? "").name;
  return name === "" ? shortId(workerId) : name;
}

export type NameParts = { readonly name: string; readonly team: string | null };

const TEAM = /^(.*?)\s*@([^@]{1,32})$/;

/** `Ada @Loom` is Ada of the team Loom: the log has one name per device, and this is in it. */
export function partsOf(name: string): NameParts {
  const found = TEAM.exec(name);
  return found ? { name: found[1] ?? "", team: (found[2] ?? "").trim() } : { name, team: null };
}

export function joinedName({ name, team }: NameParts): string {
  return team === null || team.trim() === "" ? name.trim() : `${name.trim()} @${team.trim()}`;
}
