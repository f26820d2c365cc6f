// Colours for people, none for pipes. https://no-color.org: NO_COLOR, when set and not empty, wins.
import { styleText } from "node:util";

export type Paint = {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly cyan: (text: string) => string;
  /** White on black whatever the terminal's own colours: for codes that cameras read. */
  readonly onBlack: (text: string) => string;
};

type Format = Parameters<typeof styleText>[0];

function painter(format: Format): (text: string) => string {
  return (text) => styleText(format, text, { validateStream: false });
}

export const COLOURS: Paint = {
  bold: painter("bold"),
  dim: painter("dim"),
  red: painter("red"),
  green: painter("green"),
  yellow: painter("yellow"),
  cyan: painter("cyan"),
  onBlack: painter(["whiteBright", "bgBlack"]),
};

const same = (text: string): string => text;

export const PLAIN: Paint = {
  bold: same,
  dim: same,
  red: same,
  green: same,
  yellow: same,
  cyan: same,
  onBlack: same,
};

/** What a stream can show. */
export type StreamFacts = { readonly isTTY?: boolean | undefined };

export function paintFor(stream: StreamFacts, environment: NodeJS.ProcessEnv): Paint {
  if (environment["NO_COLOR"] || environment["TERM"] === "dumb") return PLAIN;
  if (environment["FORCE_COLOR"] && environment["FORCE_COLOR"] !== "0") return COLOURS;
  return stream.isTTY ? COLOURS : PLAIN;
}

/** The columns that a text takes, escape sequences not counted. */
export function widthOf(text: string): number {
  return [...text.replace(ESCAPES, "")].length;
}

const ESCAPE = String.fromCharCode(27);
const ESCAPES = new RegExp(`${ESCAPE}\\[[0-9;]*m`, "g");
