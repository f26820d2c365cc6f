// The certificate as one drawing: what it says is in the log, and the run's state root proves it.
import type { ReactNode } from "react";
import { texts } from "../../texts.ts";
import { BADGE_TOKENS, badgesFor } from "./badge-ranks.ts";

export type CertificateFacts = {
  readonly name: string;
  readonly team: string | null;
  readonly runName: string;
  readonly runId: string;
  readonly workerId: string;
  readonly stateRoot: string;
  readonly tokens: number;
  readonly share: number;
  readonly updates: number;
  readonly rounds: number;
  readonly devices: number;
};

const WIDTH = 1200;
const HEIGHT = 780;
const INK = "#1d1f23";
const SOFT = "#5b6068";
const GREEN = "#0b7a5f";
const PAPER = "#fbfaf7";
const SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace";

/** Hands in a circle: as many as there were devices stand out, in all from 32 to 72. */
function Wreath({ devices }: { readonly devices: number }): ReactNode {
  const count = Math.min(72, Math.max(32, devices));
  const bars = Array.from({ length: count }, (_, index) => ({
    angle: (index * 360) / count,
    length: 34 + 40 * Math.abs(Math.sin(index * 2.4)),
    opacity:
      Math.round((index * devices) / count) === Math.round(((index + 1) * devices) / count)
        ? 0.28
        : 0.95,
  }));
  return (
    <g transform="translate(1010 196)">
      {bars.map(({ angle, length, opacity }) => (
        <rect
          key={angle}
          x={-4}
          y={-48 - length}
          width={8}
          height={length}
          rx={4}
          fill={GREEN}
          opacity={opacity}
          transform={`rotate(${angle})`}
        />
      ))}
    </g>
  );
}

function Line(props: {
  readonly y: number;
  readonly size: number;
  readonly text: string;
  readonly color?: string;
  readonly weight?: number;
}): ReactNode {
  const { y, size, text, color = INK, weight = 400 } = props;
  return (
    <text x={88} y={y} fontSize={size} fontWeight={weight} fill={color} letterSpacing="-0.01em">
      {text}
    </text>
  );
}

export function CertificatePicture({ facts }: { readonly facts: CertificateFacts }): ReactNode {
  const { certificate, badges, people } = texts;
  const { name, team, tokens, share, updates, rounds, devices, runName } = facts;
  const rank = badgesFor(tokens) - 1;
  const badge = BADGE_TOKENS[rank] === undefined ? "" : (badges.names[rank] ?? "");
  const shownName = name === "" ? certificate.anonymous : name;
  const size = shownName.length > 18 ? 58 : 78;
  const about = [team === null ? "" : people.teamOf(team), badge].filter((part) => part !== "");
  return (
    <svg
      xmlns="http://www.w3.org/2000/svg"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      fontFamily={SANS}
      role="img"
      aria-label={`${shownName} ${certificate.line} ${runName} ${certificate.gave(tokens, share)}`}
    >
      <rect width={WIDTH} height={HEIGHT} fill={PAPER} />
      <rect width={WIDTH} height={14} fill={GREEN} />
      <Wreath devices={devices} />
      <Line y={112} size={28} text={texts.frame.product} color={GREEN} weight={680} />
      <Line y={262} size={size} text={shownName} weight={700} />
      <Line y={308} size={26} text={about.join(" · ")} color={SOFT} />
      <Line y={386} size={34} text={certificate.line} color={SOFT} />
      <Line y={446} size={52} text={`“${runName}”`} weight={660} />
      <Line y={502} size={30} text={certificate.gave(tokens, share)} />
      <Line
        y={544}
        size={26}
        color={SOFT}
        text={`${certificate.updates(updates, rounds)}, ${certificate.together(devices)}`}
      />
      <line x1={88} x2={WIDTH - 88} y1={606} y2={606} stroke="#e3e1da" strokeWidth={2} />
      <Proof facts={facts} />
    </svg>
  );
}

function Proof({ facts }: { readonly facts: CertificateFacts }): ReactNode {
  const { certificate } = texts;
  const lines = [
    [certificate.run, facts.runId],
    [certificate.worker, facts.workerId],
    [certificate.state, facts.stateRoot],
  ] as const;
  return lines.map(([name, value], index) => (
    <g key={name} fontSize={19} transform={`translate(88 ${650 + index * 34})`}>
      <text fill={SOFT}>{name}</text>
      <text x={130} fill={INK} fontFamily={MONO}>
        {value}
      </text>
    </g>
  ));
}
