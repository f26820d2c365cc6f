// The people of a run: leaderboard of devices and teams, and one's own badges.
import { type ReactNode, useId, useMemo, useState } from "react";
import { Link } from "wouter";
import { useOwnWorkerId } from "../../device/use-device.ts";
import type { RunView } from "../../feed/run-view.ts";
import { countText, shareText } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Card, classes, Empty, Meter, Segments, Title } from "../../ui/parts.tsx";
import { VirtualList } from "../../ui/virtual-list.tsx";
import { ConnectionNotice, isUnknown, UnknownRun } from "../connection.tsx";
import { useThisRun } from "../use-this-run.ts";
import { Badges } from "./badges.tsx";
import { type Ranked, rankDevices, rankTeams } from "./ranking.ts";

type Board = "devices" | "teams";

export function PeopleScreen(): ReactNode {
  const { view } = useThisRun();
  const { people } = texts;
  if (isUnknown(view)) return <UnknownRun />;
  return (
    <div className="stack">
      <Title title={people.title}>{people.lead}</Title>
      <ConnectionNotice view={view} />
      {view.status === null ? (
        <Meter value={null} label={texts.frame.loading} />
      ) : (
        <div className="grid two-one">
          <Leaderboard view={view} />
          <OwnBadges view={view} />
        </div>
      )}
    </div>
  );
}

function OwnBadges({ view }: { readonly view: RunView }): ReactNode {
  const workerId = useOwnWorkerId(view.runId);
  const own = view.status?.workers.find((worker) => worker.workerId === workerId);
  const { people, certificate } = texts;
  return (
    <Card title={own ? people.badgesTitle : people.badges}>
      <Badges tokens={own?.credit ?? 0} />
      {own && view.status?.phase === "finished" ? (
        <Link className="button" href={`/runs/${view.runId}/certificate`}>
          {certificate.title}
        </Link>
      ) : null}
    </Card>
  );
}

function Leaderboard({ view }: { readonly view: RunView }): ReactNode {
  const { people } = texts;
  const workers = view.status?.workers;
  const [board, setBoard] = useState<Board>("devices");
  const [search, setSearch] = useState("");
  const id = useId();
  const devices = useMemo(() => rankDevices(workers ?? []), [workers]);
  const all = useMemo(() => (board === "teams" ? rankTeams(devices) : devices), [devices, board]);
  const ranks = useMemo(() => new Map(all.map(({ key }, index) => [key, index + 1])), [all]);
  const wanted = search.trim().toLocaleLowerCase();
  const shown = wanted === "" ? all : all.filter((one) => matches(one, wanted));
  const choices = [
    { value: "devices", label: people.devices },
    { value: "teams", label: people.teams },
  ] as const;
  return (
    <Card
      title={people.leaderboard}
      aside={
        <Segments label={people.leaderboard} value={board} choices={choices} onChange={setBoard} />
      }
    >
      {all.length > 12 ? (
        <div>
          <label className="visually-hidden" htmlFor={id}>
            {people.search}
          </label>
          <input
            id={id}
            type="text"
            placeholder={people.search}
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
        </div>
      ) : null}
      <Ranks view={view} shown={shown} ranks={ranks} top={all[0]?.tokens ?? 1} />
    </Card>
  );
}

function matches({ name, team }: Ranked, wanted: string): boolean {
  return `${name} ${team ?? ""}`.toLocaleLowerCase().includes(wanted);
}

type RanksProps = {
  readonly view: RunView;
  readonly shown: readonly Ranked[];
  readonly ranks: ReadonlyMap<string, number>;
  readonly top: number;
};

function Ranks({ view, shown, ranks, top }: RanksProps): ReactNode {
  const { people } = texts;
  const own = useOwnWorkerId(view.runId);
  const total = view.status?.tokensCommitted ?? 0;
  if (shown.length === 0) return <Empty>{people.empty}</Empty>;
  return (
    <VirtualList
      label={people.leaderboard}
      count={shown.length}
      rowHeight={70}
      heightMax={600}
      row={(index, place) => {
        const one = shown[index];
        if (!one) return null;
        return (
          <li key={one.key} className={classes("list-row", one.key === own && "on")} {...place}>
            <b className="number" style={{ width: 34 }}>
              <span className="visually-hidden">{people.rank(ranks.get(one.key) ?? 0)}</span>
              <span aria-hidden="true">{ranks.get(one.key)}</span>
            </b>
            <RankedName one={one} isOwn={one.key === own} top={top} />
            <span className="number">
              {countText(one.tokens)}
              <span className="soft small" style={{ display: "block" }}>
                {shareText(total > 0 ? one.tokens / total : 0)}
              </span>
            </span>
          </li>
        );
      }}
    />
  );
}

type RankedNameProps = {
  readonly one: Ranked;
  readonly isOwn: boolean;
  readonly top: number;
};

function RankedName({ one, isOwn, top }: RankedNameProps): ReactNode {
  const { people, watch } = texts;
  const about = [
    isOwn ? people.you : "",
    one.team === null ? "" : people.teamOf(one.team),
    one.devices > 1 ? watch.devices(one.devices) : people.updates(one.updates),
  ].filter((part) => part !== "");
  return (
    <span className="grow">
      <span className="cut" style={{ display: "block" }}>
        {one.name}
      </span>
      <span className="cut soft small" style={{ display: "block" }}>
        {about.join(", ")}
      </span>
      <span className="bar" style={{ display: "block", height: 5, marginTop: 3 }}>
        <i style={{ width: `${(one.tokens / top) * 100}%` }} />
      </span>
    </span>
  );
}
