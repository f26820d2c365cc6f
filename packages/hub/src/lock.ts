// A lock between our own processes on one machine, by a file that holds the owner's process id.
// It only saves double work: no file's content depends on it.
import { open, readFile, rm } from "node:fs/promises";
import { diskError, systemCode } from "./errors.ts";

export type Lock = { readonly release: () => Promise<void> };

const TRIES = 3;

/** The lock, or nothing if a living process has it. @throws HubError if the disk refuses */
export async function lockFile(path: string): Promise<Lock | undefined> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    try {
      const file = await open(path, "wx");
      await file.writeFile(String(process.pid));
      await file.close();
      return { release: () => rm(path, { force: true }) };
    } catch (cause) {
      if (systemCode(cause) !== "EEXIST") throw diskError(path, cause);
    }
    if (await ownerLives(path)) return undefined;
    // A killed process left it.
    await rm(path, { force: true });
  }
  return undefined;
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
