// The same life of a run on the local chain and on anvil, which is the judge: equal gas, outcomes
// and logs. What happens in it: play.ts.
import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { openAnvil, openLocal } from "./backends.ts";
import { type Line, Play } from "./play.ts";

const LIMIT = { timeout: 120_000 };
const noted = new Map<string, readonly Line[]>();

for (const open of [openLocal, openAnvil]) {
  test(`${open.name}: a run is funded, settled and paid to the last unit`, LIMIT, async (t) => {
    const chain = await open();
    t.after(() => chain.close());
    noted.set(chain.name, await (await Play.on(chain)).whole());
  });
}

test("the local chain and anvil give equal gas, outcomes and logs", () => {
  deepEqual(noted.get("local"), noted.get("anvil"));
});
