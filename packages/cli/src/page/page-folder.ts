// Where the built page lies: `npm install` builds it in a checkout. Not in the tarball, which is
// for machines that join: without a page the coordinator serves a few lines on how to.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../../../apps/web/dist", import.meta.url));

export function pageFolder(): string | undefined {
  return existsSync(join(FOLDER, "index.html")) ? FOLDER : undefined;
}
