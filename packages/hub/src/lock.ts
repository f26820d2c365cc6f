// A lock between our own processes on one machine, by a file that holds the owner's process id.
// It only saves double work: no file's content depends on it.
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { diskError, systemCode } from "./errors.ts";
import { uniquePath } from "./unique.ts";

export type Lock = { readonly release: () => Promise<void> };

const TRIES = 3;
/** How file systems say that they know no links. */
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EXDEV"]);

/**
 * The lock, or nothing if a living process has it, or the disk knows no links.
 *
 * @throws HubError if the disk refuses
 */
export async function lockFile(path: string): Promise<Lock | undefined> {
  // A link to a file that is already written: nobody ever reads a lock without its owner.
  const own = uniquePath(path, "tmp");
  try {
    await writeFile(own, String(process.pid));
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if (await linked(own, path)) return { release: () => rm(path, { force: true }) };
      if (await ownerLives(path)) return undefined;
      // A killed process left it.
      await rm(path, { force: true });
    }
    return undefined;
  } catch (cause) {
    if (NO_LINKS.has(systemCode(cause) ?? "")) return undefined;
    throw diskError(path, cause);
  } finally {
    await rm(own, { force: true });
  }
}

/** Whether the name was free. */
async function linked(file: string, name: string): Promise<boolean> {
  try {
    await link(file, name);
    return true;
  } catch (cause) {
    if (systemCode(cause) === "EEXIST") return false;
    throw cause;
  }
}

async function ownerLives(path: string): Promise<boolean> {
  const text = await readFile(path, "utf8").catch(() => "");
  const owner = Number(text);
  if (!Number.isSafeInteger(owner) || owner <= 0) return false;
  if (owner === process.pid) return true;
  try {
    process.kill(owner, 0);
    return true;
  } catch (caught) {
    return systemCode(caught) === "EPERM";
  }
}
