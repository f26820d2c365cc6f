// The memory that this process holds, for tests: where a runtime's own buffers cannot be counted,
// the operating system's number is asked, after garbage was collected. Node only.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** What a collection frees lets go of more in its finalisers: they run between collections. */
const COLLECTIONS = 4;

export async function collectGarbage(): Promise<void> {
  for (let i = 0; i < COLLECTIONS; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export async function residentBytes(): Promise<number> {
  await collectGarbage();
  return process.memoryUsage().rss;
}
