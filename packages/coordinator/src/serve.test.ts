import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CorruptLogError, FolderLockedError, RunFolderError } from "./errors.ts";
import { startCoordinator } from "./serve.ts";
import { tinyRun } from "./testing/tiny-run.ts";
import { startTiny, temporaryFolder, WireWorker } from "./testing/wire.ts";

test("a run over real sockets: from the first round to the end, counted and closed cleanly", async (t) => {
  const runFolder = temporaryFolder(t);
  const tiny = tinyRun({ tokens: 64 * 4 });
  const { coordinator } = await startTiny(t, { runFolder, tiny });
  const ada = await WireWorker.join(coordinator, t);
  await ada.contributeToEnd();
  assert.equal(await coordinator.finished, "tokens");
  const status = coordinator.status();
  assert.equal(status.phase, "finished");
  assert.equal(status.round, 4);
  assert.equal(status.tokensCommitted, 64 * 4);
  const [worker] = status.workers;
  assert.equal(worker?.credit, 64 * 4);
  assert.ok(worker && worker.bytesUp > 4 * 300, `4 updates went up: ${worker?.bytesUp} B`);
  assert.ok(worker && worker.bytesDown > 1_000, `messages came down: ${worker?.bytesDown} B`);
  await coordinator.close();
  assert.equal(existsSync(join(runFolder, "log.sqlite-wal")), false, "one plain file is left");
  assert.equal(statSync(join(runFolder, "keys.json")).mode & 0o777, 0o600);
});

test("a closed run continues in the next process: state, keys, join URL and traffic", async (t) => {
  const runFolder = temporaryFolder(t);
  const tiny = tinyRun();
  const first = await startCoordinator({ runFolder, create: tiny });
  const ada = await WireWorker.join(first, t);
  await ada.contribute(await ada.round(), 1);
  await ada.wire.next("closed");
  const { stateRoot } = first.state();
  const weights = first.weights();
  const { bytesUp } = first.status().traffic;
  await first.close();
  const { coordinator: second } = await startTiny(t, { runFolder, tiny });
  assert.equal(second.state().stateRoot, stateRoot);
  assert.deepEqual(second.weights(), weights);
  assert.equal(second.admissionToken, first.admissionToken);
  assert.ok(second.status().traffic.bytesUp >= bytesUp, "traffic goes on counting");
  const again = await WireWorker.join(second, t, ada.worker);
  assert.equal(again.welcome.closed.length, 1);
  await again.contribute(await again.round(), 2);
});

test("a folder that another process has open is refused in a sentence", async (t) => {
  const runFolder = temporaryFolder(t);
  const { tiny } = await startTiny(t, { runFolder });
  await assert.rejects(startCoordinator({ runFolder, create: tiny }), FolderLockedError);
});

test("a folder that holds another run, or none, is refused", async (t) => {
  const runFolder = temporaryFolder(t);
  const { coordinator } = await startTiny(t, { runFolder });
  await coordinator.close();
  const create = tinyRun({ seed: 2 });
  await assert.rejects(startCoordinator({ runFolder, create }), RunFolderError);
  await assert.rejects(
    startCoordinator({ runFolder: temporaryFolder(t) }),
    (error: unknown) => error instanceof RunFolderError && error.message.includes("no run"),
  );
});

test("a port that is taken is an error with a hint, and frees the folder", async (t) => {
  const { coordinator } = await startTiny(t);
  const port = Number(new URL(coordinator.url).port);
  const runFolder = temporaryFolder(t);
  await assert.rejects(startCoordinator({ runFolder, create: tinyRun(), port }), {
    name: "ListenError",
  });
  await startTiny(t, { runFolder });
});

test("a damaged row is named when the run is started", async (t) => {
  const runFolder = temporaryFolder(t);
  const { coordinator, tiny } = await startTiny(t, { runFolder });
  const ada = await WireWorker.join(coordinator, t);
  await ada.contribute(await ada.round(), 1);
  await coordinator.close();
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(join(runFolder, "log.sqlite"));
  database.exec("UPDATE log SET event = replace(event, 'ada', 'eve') WHERE sequence = 1");
  database.close();
  await assert.rejects(
    startCoordinator({ runFolder, create: tiny }),
    (error: unknown) => error instanceof CorruptLogError && error.row === 1,
  );
});
