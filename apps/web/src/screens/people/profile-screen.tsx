// The profile: a name and a team if wanted, what was given, and the key to take along.
import { type ReactNode, useId, useRef, useState } from "react";
import { Link } from "wouter";
import { theDevice, useDevice } from "../../device/use-device.ts";
import { countText, groupedText, shortId } from "../../format.ts";
import { texts } from "../../texts.ts";
import { Button, Card, Empty, Fields, Notice, Stat, Stats, Title } from "../../ui/parts.tsx";
import { isAtWork } from "../contribute/is-at-work.ts";
import type { NameParts } from "../names.ts";
import { Badges } from "./badges.tsx";
import { cleanName, keepProfile, readProfile } from "./profile-store.ts";
import { saveFile } from "./save-picture.ts";
import { readGiven } from "./totals-store.ts";

export function ProfileScreen(): ReactNode {
  const { profile } = texts;
  return (
    <div className="stack">
      <Title title={profile.title}>{profile.lead}</Title>
      <div className="grid two">
        <NameCard />
        <TotalsCard />
        <KeyCard />
      </div>
    </div>
  );
}

function NameCard(): ReactNode {
  const { profile } = texts;
  const [value, setValue] = useState<NameParts>(readProfile);
  const [isKept, setKept] = useState(false);
  const id = useId();
  const change = (part: Partial<NameParts>): void => {
    setValue({ ...value, ...part });
    setKept(false);
  };
  const keep = (): void => {
    const team = value.team === null || value.team.trim() === "" ? null : value.team.trim();
    keepProfile({ name: value.name.trim(), team });
    setKept(true);
  };
  return (
    <Card title={profile.who}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          keep();
        }}
      >
        <div className="stack tight">
          <label htmlFor={`${id}-name`}>{profile.name}</label>
          <input
            id={`${id}-name`}
            type="text"
            autoComplete="nickname"
            value={value.name}
            aria-describedby={`${id}-name-help`}
            onChange={(event) => change({ name: cleanName(event.target.value) })}
          />
          <p className="soft small" id={`${id}-name-help`}>
            {profile.nameHelp}
          </p>
        </div>
        <div className="stack tight">
          <label htmlFor={`${id}-team`}>{profile.team}</label>
          <input
            id={`${id}-team`}
            type="text"
            autoComplete="off"
            value={value.team ?? ""}
            aria-describedby={`${id}-team-help`}
            onChange={(event) => change({ team: cleanName(event.target.value) })}
          />
          <p className="soft small" id={`${id}-team-help`}>
            {profile.teamHelp}
          </p>
        </div>
        <div className="row">
          <Button kind="main" type="submit">
            {profile.save}
          </Button>
          <span role="status" className="soft">
            {isKept ? profile.saved : ""}
          </span>
        </div>
      </form>
    </Card>
  );
}

function TotalsCard(): ReactNode {
  const { profile, people } = texts;
  const runs = readGiven();
  const tokens = runs.reduce((sum, run) => sum + run.tokens, 0);
  const updates = runs.reduce((sum, run) => sum + run.updates, 0);
  return (
    <Card title={profile.totals}>
      {runs.length === 0 ? (
        <Empty>{profile.nothing}</Empty>
      ) : (
        <>
          <Stats>
            <Stat lead label={profile.totalTokens} value={countText(tokens)} />
            <Stat label={profile.totalUpdates} value={groupedText(updates)} />
            <Stat label={profile.totalRuns} value={groupedText(runs.length)} />
          </Stats>
          <Fields
            fields={runs.slice(0, 8).map((run) => ({
              name: run.name,
              value: (
                <Link href={`/runs/${run.runId}/people`}>
                  {countText(run.tokens)} {people.tokens}
                </Link>
              ),
            }))}
          />
        </>
      )}
      <Badges tokens={tokens} />
    </Card>
  );
}

type KeyNews = { readonly kind: "good" | "bad"; readonly words: string };

function KeyCard(): ReactNode {
  const { profile } = texts;
  const device = useDevice();
  const input = useRef<HTMLInputElement>(null);
  const [news, setNews] = useState<KeyNews | null>(null);
  const save = async (): Promise<void> => {
    const text = await theDevice().exportKey();
    if (text === null) setNews({ kind: "bad", words: profile.noDevice });
    else saveFile(new Blob([text], { type: "application/json" }), "manyhands-key.json");
  };
  const read = async (file: File | undefined): Promise<void> => {
    if (!file) return;
    if (isAtWork(device)) {
      setNews({ kind: "bad", words: profile.importRunning });
      return;
    }
    const problem = await theDevice().importKey(await file.text());
    setNews(
      problem === null
        ? { kind: "good", words: profile.imported }
        : { kind: "bad", words: `${profile.importFailed} ${problem}` },
    );
  };
  return (
    <Card title={profile.keyTitle}>
      <p className="soft">{profile.keyLead}</p>
      {device.workerId === null ? null : (
        <Fields
          fields={[{ name: profile.workerId, value: <code>{shortId(device.workerId)}</code> }]}
        />
      )}
      <div className="row wrap">
        <Button icon="down" onClick={() => void save()}>
          {profile.export}
        </Button>
        <Button onClick={() => input.current?.click()}>{profile.import}</Button>
        <input
          ref={input}
          type="file"
          accept="application/json,.json"
          hidden
          aria-label={profile.import}
          onChange={(event) => void read(event.target.files?.[0])}
        />
      </div>
      {news === null ? null : <Notice kind={news.kind}>{news.words}</Notice>}
      <p className="soft small">{profile.exportWarn}</p>
    </Card>
  );
}
