// Every limit of this device on one screen, kept as soon as it is changed.

import type { DeviceSettings } from "@manyhands/worker/browser/device-view";
import { type ReactNode, useId, useState } from "react";
import { theDevice, useDevice, useSettings } from "../device/use-device.ts";
import { bytesText } from "../format.ts";
import { texts } from "../texts.ts";
import { readTheme, setTheme, type Theme } from "../theme.ts";
import { Button, Card, Notice, Segments, Slider, Switch, Title } from "../ui/parts.tsx";

/** Steps of the sliders for data and memory; the last one is no cap. */
const DATA_STEPS = [50e6, 100e6, 200e6, 500e6, 1e9, 2e9, 5e9, 10e9] as const;
const MEMORY_STEPS = [256e6, 512e6, 1e9, 1.5e9, 2e9, 3e9, 4e9] as const;
const EVENING_AND_NIGHT = { from: 22 * 60, to: 7 * 60 };

export function LimitsScreen(): ReactNode {
  const { limits } = texts;
  const [settings, set] = useSettings();
  const change = (part: Partial<DeviceSettings>): void => set({ ...settings, ...part });
  return (
    <div className="stack">
      <Title title={limits.title}>{limits.lead}</Title>
      <AtThisMoment />
      <div className="grid two">
        <Card title={limits.whenTitle}>
          <WhenChoices settings={settings} change={change} />
        </Card>
        <Card title={limits.muchTitle}>
          <MuchChoices settings={settings} change={change} />
        </Card>
        <Card title={limits.comfortTitle}>
          <div>
            <Switch
              label={limits.wake}
              help={limits.wakeHelp}
              checked={settings.keepAwake}
              onChange={(keepAwake) => change({ keepAwake })}
            />
            <ThemeChoice />
          </div>
        </Card>
        <Card title={limits.heatTitle}>
          <p className="soft">{limits.heat}</p>
        </Card>
      </div>
      <div className="row wrap">
        <Button onClick={() => set(theDevice().defaults())}>{limits.reset}</Button>
        <span className="soft small">{limits.saved}</span>
      </div>
    </div>
  );
}

/** What the limits mean right now, while the device has a run. */
function AtThisMoment(): ReactNode {
  const { phase, now, slowed } = useDevice();
  const { limits } = texts;
  if (phase === "resting" || slowed !== null) {
    return (
      <Notice kind="warn" icon="pause" title={limits.nowTitle}>
        {slowed ?? now}
      </Notice>
    );
  }
  return phase === "training" ? (
    <Notice kind="good" title={limits.nowTitle}>
      {limits.nowFree}
    </Notice>
  ) : null;
}

type ChoicesProps = {
  readonly settings: DeviceSettings;
  readonly change: (part: Partial<DeviceSettings>) => void;
};

function WhenChoices({ settings, change }: ChoicesProps): ReactNode {
  const { limits } = texts;
  const { onlyCharging, onlyUnmetered, onlyVisible, hours } = settings;
  return (
    <div>
      <Switch
        label={limits.charging}
        help={limits.chargingHelp}
        checked={onlyCharging}
        onChange={(checked) => change({ onlyCharging: checked })}
      />
      <Switch
        label={limits.unmetered}
        help={limits.unmeteredHelp}
        checked={onlyUnmetered}
        onChange={(checked) => change({ onlyUnmetered: checked })}
      />
      <Switch
        label={limits.visible}
        help={limits.visibleHelp}
        checked={onlyVisible}
        onChange={(checked) => change({ onlyVisible: checked })}
      />
      <Switch
        label={limits.schedule}
        checked={hours !== null}
        onChange={(checked) => change({ hours: checked ? EVENING_AND_NIGHT : null })}
      />
      {hours === null ? null : <Hours hours={hours} onChange={(next) => change({ hours: next })} />}
    </div>
  );
}

type HoursValue = NonNullable<DeviceSettings["hours"]>;
type HoursProps = {
  readonly hours: HoursValue;
  readonly onChange: (hours: HoursValue) => void;
};

function timeText(minutes: number): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${two(Math.floor(minutes / 60) % 24)}:${two(minutes % 60)}`;
}

function minutesOf(text: string): number | null {
  const found = /^(\d{2}):(\d{2})/.exec(text);
  return found ? Number(found[1]) * 60 + Number(found[2]) : null;
}

function Hours({ hours, onChange }: HoursProps): ReactNode {
  const { limits } = texts;
  const id = useId();
  // A clock that is wrong would make these hours wrong: it is shown beside them.
  const now = new Date();
  const field = (which: "from" | "to", label: string): ReactNode => (
    <div className="grow">
      <label htmlFor={`${id}-${which}`}>{label}</label>
      <input
        id={`${id}-${which}`}
        type="time"
        value={timeText(hours[which])}
        onChange={(event) => {
          const minutes = minutesOf(event.target.value);
          if (minutes !== null) onChange({ ...hours, [which]: minutes });
        }}
      />
    </div>
  );
  return (
    <div className="stack tight">
      <div className="row">
        {field("from", limits.from)}
        {field("to", limits.to)}
      </div>
      <p className="soft small">
        {hours.from > hours.to ? `${limits.over}. ` : ""}
        {limits.clock(timeText(now.getHours() * 60 + now.getMinutes()))}
      </p>
    </div>
  );
}

function MuchChoices({ settings, change }: ChoicesProps): ReactNode {
  const { limits } = texts;
  const { power, dataBytesPerDay, memoryBytesMax } = settings;
  const percent = Math.round(power * 100);
  return (
    <div>
      <Slider
        label={limits.power}
        help={limits.powerHelp}
        value={percent}
        min={10}
        max={100}
        step={5}
        words={limits.powerWords(percent)}
        onChange={(value) => change({ power: value / 100 })}
      />
      <StepSlider
        label={limits.data}
        steps={DATA_STEPS}
        value={dataBytesPerDay}
        onChange={(bytes) => change({ dataBytesPerDay: bytes })}
      />
      <StepSlider
        label={limits.memory}
        steps={MEMORY_STEPS}
        value={memoryBytesMax}
        onChange={(bytes) => change({ memoryBytesMax: bytes })}
      />
    </div>
  );
}

type StepSliderProps = {
  readonly label: string;
  readonly steps: readonly number[];
  readonly value: number | null;
  readonly onChange: (bytes: number | null) => void;
};

function StepSlider({ label, steps, value, onChange }: StepSliderProps): ReactNode {
  const at = value === null ? -1 : steps.findIndex((step) => step >= value);
  const place = at < 0 ? steps.length : at;
  const bytes = steps[place];
  return (
    <Slider
      label={label}
      value={place}
      min={0}
      max={steps.length}
      step={1}
      words={bytes === undefined ? texts.limits.unlimited : bytesText(bytes)}
      onChange={(next) => onChange(steps[next] ?? null)}
    />
  );
}

function ThemeChoice(): ReactNode {
  const { limits } = texts;
  const [theme, choose] = useState<Theme>(readTheme);
  const choices = (["auto", "light", "dark"] as const).map((value) => ({
    value,
    label: limits.themes[value],
  }));
  const onChange = (next: Theme): void => {
    choose(next);
    setTheme(next);
  };
  return (
    <div className="choice">
      <b>{limits.theme}</b>
      <span />
      <div style={{ gridColumn: "1 / -1" }}>
        <Segments label={limits.theme} value={theme} choices={choices} onChange={onChange} />
      </div>
    </div>
  );
}
