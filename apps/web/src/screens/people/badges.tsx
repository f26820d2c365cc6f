// Badges by tokens given: one more ring for each power of ten.
import type { ReactNode } from "react";
import { texts } from "../../texts.ts";
import { classes } from "../../ui/parts.tsx";
import { BADGE_TOKENS, badgesFor, tokensToNext } from "./badge-ranks.ts";

const RADIUS = 26;
const COLORS = ["#8a9a92", "#4f9d83", "#0b7a5f", "#b34d12", "#8a3ffc", "#c28a00"] as const;

/** Petals around a core: as many as the badge's rank and five more. */
export function BadgePicture({ rank }: { readonly rank: number }): ReactNode {
  const count = rank + 6;
  const petals = Array.from({ length: count }, (_, index) => (index * 360) / count);
  return (
    <svg viewBox="-32 -32 64 64" aria-hidden="true">
      {petals.map((angle) => (
        <rect
          key={angle}
          x={-3.4}
          y={-RADIUS - 3}
          width={6.8}
          height={18}
          rx={3.4}
          fill={COLORS[rank]}
          opacity={0.55}
          transform={`rotate(${angle})`}
        />
      ))}
      <circle r={15} fill={COLORS[rank]} />
      <path
        d="M-6.5 0.5l4.2 4.2 8.6-9.2"
        fill="none"
        stroke="#fff"
        strokeWidth={3}
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}

export function Badges({ tokens }: { readonly tokens: number }): ReactNode {
  const { badges } = texts;
  const got = badgesFor(tokens);
  const left = tokensToNext(tokens);
  return (
    <div className="stack">
      <ul className="badges">
        {badges.names.map((name, rank) => (
          <li key={name} className={classes("badge", rank < got && "got")}>
            <BadgePicture rank={rank} />
            <span>
              {name}
              <br />
              <span className="soft">{badges.at(BADGE_TOKENS[rank] ?? 0)}</span>
            </span>
          </li>
        ))}
      </ul>
      {left === null ? null : <p className="soft small">{badges.next(left)}</p>}
    </div>
  );
}
