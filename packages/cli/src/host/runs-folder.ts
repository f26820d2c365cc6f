// The folder of a host: its token, and a folder for each run with the run file, its text, and what
// the coordinator keeps. Not a run's own folder: run/run-folder.ts.
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Decoded, object, text } from "@manyhands/base/decode";
import { InputError, messageOf } from "@manyhands/base/errors";
import type { NewRun } from "@manyhands/coordinator/server/owner-routes";
import { runFileText } from "./run-templates.ts";

const tokenFileDecoder = object({ token: text(128) });
type TokenFile = Decoded<typeof tokenFileDecoder>;

const NAME_CHARS = 40;
const SEEDS = 2 ** 31;

/** Where the coordinator of the run in a folder keeps its things. */
export function runFolderIn(folder: string): string {
  return join(folder, "run");
}

export class RunsFolder {
  readonly folder: string;
  /** Who may create runs here. */
  readonly token: string;

  /** @throws InputError if it cannot be written, or its token file is none */
  constructor(folder: string) {
    this.folder = folder;
    try {
      mkdirSync(folder, { recursive: true });
      this.token = openToken(join(folder, "host.json"));
    } catch (cause) {
      if (cause instanceof InputError) throw cause;
      throw new InputError(`the folder ${folder} cannot be used: ${messageOf(cause)}`, { cause });
    }
  }

  /** Folders of runs, by name. */
  runs(): readonly string[] {
    return readdirSync(this.folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(this.folder, name))
      .filter((folder) => existsSync(join(folder, "run.yaml")))
      .toSorted((a, b) => (a < b ? -1 : 1));
  }

  /** A folder with run file and text, of which nothing is served yet. */
  write(choices: NewRun, data: Uint8Array): string {
    const folder = this.#freeFolder(choices.name);
    const dataFile = plainName(basename(choices.fileName), "text") || "text.txt";
    mkdirSync(folder);
    writeFileSync(join(folder, dataFile), data);
    const seed = randomBytes(4).readUInt32LE() % SEEDS;
    writeFileSync(join(folder, "run.yaml"), runFileText({ ...choices, dataFile, seed }));
    return folder;
  }

  /** What came to nothing. */
  remove(folder: string): void {
    rmSync(folder, { recursive: true, force: true });
  }

  #freeFolder(name: string): string {
    const base = plainName(name.toLowerCase(), "run");
    for (let attempt = 1; ; attempt++) {
      const folder = join(this.folder, attempt === 1 ? base : `${base}-${attempt}`);
      if (!existsSync(folder)) return folder;
    }
  }
}

/** Letters, digits, dots and dashes: a name for every file system, and one that leads nowhere. */
function plainName(name: string, otherwise: string): string {
  const plain = name
    .normalize("NFKD")
    .replace(/[^\w.-]+/g, "-")
    .replace(/^[-.]+|[-.]+$/g, "")
    .slice(0, NAME_CHARS);
  return plain === "" || plain === "run.yaml" ? otherwise : plain;
}

function openToken(path: string): string {
  if (!existsSync(path)) {
    const file: TokenFile = { token: randomBytes(24).toString("base64url") };
    writeFileSync(path, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
    return file.token;
  }
  const file = tokenFileDecoder(JSON.parse(readFileSync(path, "utf8")));
  if (file.ok) return file.value.token;
  throw new InputError(`${path} holds no token`, { hint: "Remove it: a new one is made." });
}
