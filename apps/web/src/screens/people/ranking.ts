// Credit sorted into ranks: devices, and teams of devices. Pure; credit itself is the log's.
import type { WorkerStatus } from "@manyhands/coordinator/status";
import { shortId } from "../../format.ts";
import { partsOf } from "../names.ts";

export type Ranked = {
  /** A worker's id, or a team's name. */
  readonly key: string;
  readonly name: string;
  readonly team: string | null;
  readonly tokens: number;
  readonly updates: number;
  readonly devices: number;
};

function byTokens(a: Ranked, b: Ranked): number {
  return b.tokens - a.tokens || (a.key < b.key ? -1 : 1);
}

/** Everybody who has given something, most first. */
export function rankDevices(workers: readonly WorkerStatus[]): readonly Ranked[] {
  return workers
    .filter(({ credit }) => credit > 0)
    .map(({ workerId, name, credit, updateCount }) => {
      const parts = partsOf(name);
      return {
        key: workerId,
        name: parts.name === "" ? shortId(workerId) : parts.name,
        team: parts.team,
        tokens: credit,
        updates: updateCount,
        devices: 1,
      };
    })
    .toSorted(byTokens);
}

export function rankTeams(devices: readonly Ranked[]): readonly Ranked[] {
  const teams = new Map<string, Ranked>();
  for (const { team, tokens, updates } of devices) {
    if (team === null) continue;
    const key = team.toLocaleLowerCase();
    const before = teams.get(key);
    teams.set(key, {
      key,
      name: before?.name ?? team,
      team: null,
      tokens: (before?.tokens ?? 0) + tokens,
      updates: (before?.updates ?? 0) + updates,
      devices: (before?.devices ?? 0) + 1,
    });
  }
  return [...teams.values()].toSorted(byTokens);
}
