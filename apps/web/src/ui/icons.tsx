// The page's own icons, drawn on a 24 × 24 grid. They decorate: words stand beside them.
import type { ReactNode } from "react";

const PATHS = {
  hand:
    "M5 13.5v-4M9.2 12V5.4M13 11.6V4M16.8 12.6V6.6" +
    "M5 13.5c0 4 2.6 6.9 6.6 6.9 3.4 0 5.2-1.9 6.9-5.3l1-2.3c.4-1-.9-2-1.8-1.2l-.9 1",
  watch: "M4 19.5h16M4.5 15.5l4.4-5 3.6 3L19.5 6",
  ledger: "M6.5 4h11v16h-11zM9.5 8.5h5M9.5 12h5M9.5 15.5h3",
  model: "M4.5 6.5h15v9h-8l-4 3.6v-3.6h-3zM8.5 11h.01M12 11h.01M15.5 11h.01",
  people:
    "M9 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M3.5 19c.4-3.2 2.6-5 5.5-5s5.1 1.8 5.5 5" +
    "M15.5 11a2.6 2.6 0 1 0-.6-5.1M17 14.3c2 .5 3.2 2.1 3.5 4.7",
  limits: "M4 8h9M17 8h3M15 5.7v4.6M4 16h3M11 16h9M9 13.7v4.6",
  profile:
    "M12 12a3.6 3.6 0 1 0 0-7.2 3.6 3.6 0 0 0 0 7.2M5 19.6c.7-3.6 3.3-5.4 7-5.4s6.3 1.8 7 5.4",
  owner: "M14.5 9.5a4 4 0 1 0-3.4 3.9l1.4 1.6h2v2h2v2h3v-3l-5-5zM9.4 8.6h.01",
  pause: "M9 6.5v11M15 6.5v11",
  play: "M8.5 5.8v12.4l10-6.2z",
  check: "M5.5 12.5l4.2 4.2 8.8-9.2",
  cross: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  info: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16M12 11.2v4.6M12 8.2h.01",
  warn: "M12 4.6l8.3 14.6H3.7zM12 10.4v4M12 16.8h.01",
  away: "M4 9.4a12 12 0 0 1 16 0M7 12.8a7.4 7.4 0 0 1 10 0M12 18h.01M4.5 4.5l15 15",
  down: "M12 4.8v10.4M7.4 11l4.6 4.6 4.6-4.6M5.5 19.4h13",
  share: "M12 14.6V4.6M8 8.2l4-3.8 4 3.8M6 11.8v7.6h12v-7.6",
  next: "M9.5 6.5l5.5 5.5-5.5 5.5",
  dot: "M12 12h.01",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, className }: { name: IconName; className?: string }): ReactNode {
  return (
    <svg
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      className={className}
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

/** Five fingers, five bars: the mark of the house. */
export function Mark(): ReactNode {
  const bars = [
    [3, 11, 7],
    [7.5, 6, 14],
    [12, 3.5, 17],
    [16.5, 7, 13],
    [21, 12.5, 6],
  ] as const;
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true">
      {bars.map(([x, y, height]) => (
        <rect
          key={x}
          x={x - 1.5}
          y={y}
          width="3"
          height={height}
          rx="1.5"
          fill="currentColor"
          opacity={x === 12 ? 1 : 0.78}
        />
      ))}
    </svg>
  );
}
