// Jobs over memory ports: what an update leaves on disk at every moment, and what a restart makes
// of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { feedbackRoot, weightsRoot } from "@manyhands/aggregation/roots";
import { toHex } from "@manyhands/base/bytes";
import { sha256 } from "@manyhands/base/hash";
import type { Update } from "@manyhands/protocol/events";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { hashOf, testRun } from "@manyhands/protocol/testing/fixtures";
import { EMPTY_LEDGER } from "../core/stored.ts";
import type { Answer, OutcomeOf } from "../core/types.ts";
import { openRound, SIGNATURE } from "../testing/core-driver.ts";
import {
  AddingCompute,
  Crash,
  HandTimers,
  MemoryApi,
  MemoryFiles,
  MemoryLink,
} from "../testing/memory-ports.ts";
import { failureOf, JobRunner } from "./job-runner.ts";

const RUN: FrozenRun = {
  ...testRun(),
  initialWeightsRoot: toHex(weightsRoot(testRun().fragments, new Float32Array(4), sha256)),
};
const ZERO_RESIDUAL = toHex(feedbackRoot(RUN.fragments, new Float32Array(4), sha256));

function runnerOn(files: MemoryFiles) {
  const [compute, api, notices] = [new AddingCompute(), new MemoryApi(), [] as string[]];
  const ports = { link: new MemoryLink(), timers: new HandTimers(), hash: sha256 };
  const runner = new JobRunner(
    { ...ports, files, compute, api },
    { onStep: () => undefined, onNotice: (sentence) => notices.push(sentence) },
  );
  return { runner, compute, api, notices };
}

function assigned(round: number) {
  const open = openRound(round);
  return { ...open, assignment: open.assignment! };
}

function updateOf(round: number, encoded: OutcomeOf<"encode">): Update {
  return {
    round,
    baseRoot: hashOf("base"),
    data: { kind: "range", firstSample: 0, sampleCount: 20 },
    tokens: 160,
    innerSteps: 10,
    codec: "ternary",
    numerics: "ort-cpu",
    fragments: null,
    updateRoot: encoded.updateRoot,
    updateBytes: encoded.updateBytes,
    groupCount: 1,
    traceRoot: null,
    carried: [],
    metrics: { trainLossMicronats: 1, innerStepMicros: 1, evaluation: null },
  };
}

/** Restore, train, encode, keep, settle: as far as the files allow. */
async function oneRound(files: MemoryFiles, answer: Answer = "accepted") {
  const { runner, compute } = runnerOn(files);
  // Uneven steps leave a residual: the codec has only three values.
  let element = 0;
  compute.train = async ({ base }) => ({
    innerSteps: 10,
    pseudoGradient: base.map(() => ++element / 10),
    meanLoss: 2,
    innerStepMicros: 5,
  });
  await runner.run({ kind: "restore", run: RUN });
  await runner.run({ kind: "train", round: assigned(0) });
  const encoded = (await runner.run({ kind: "encode", round: 0 })) as OutcomeOf<"encode">;
  const update = updateOf(0, encoded);
  await runner.run({ kind: "keep-update", stored: { update, signature: SIGNATURE } });
  const ledger = { settledRounds: 1, acceptedUpdates: 1, tokensGiven: 160 };
  await runner.run({ kind: "settle", answer, ledger, receipt: null });
  return { encoded, ledger };
}

async function restored(files: MemoryFiles) {
  files.writesLeft = Number.POSITIVE_INFINITY;
  const { runner, api } = runnerOn(files);
  const outcome = (await runner.run({ kind: "restore", run: RUN })) as OutcomeOf<"restore">;
  return { outcome, runner, api };
}

/** The residual that the next update would start from. */
async function residualRoot(runner: JobRunner): Promise<string> {
  await runner.run({ kind: "train", round: assigned(1) });
  const encoded = (await runner.run({ kind: "encode", round: 1 })) as OutcomeOf<"encode">;
  return encoded.residualBefore;
}

test("killed between any two writes: the update is unmade, kept whole, or settled; never half", async () => {
  const { encoded, ledger } = await oneRound(new MemoryFiles());
  assert.notEqual(encoded.residualAfter, ZERO_RESIDUAL);
  for (let writes = 0; writes <= 3; writes++) {
    const files = new MemoryFiles();
    files.writesLeft = writes;
    if (writes < 3) await assert.rejects(oneRound(files), Crash);
    else await oneRound(files);
    const { outcome, runner, api } = await restored(files);
    if (writes === 0) {
      assert.equal(outcome.update, null);
      assert.equal(await residualRoot(runner), ZERO_RESIDUAL);
    } else if (writes === 1) {
      assert.equal(outcome.update?.update.updateRoot, encoded.updateRoot);
      await runner.run({ kind: "upload", root: encoded.updateRoot });
      assert.equal(api.blobs.get(encoded.updateRoot)?.length, encoded.updateBytes);
      await runner.run({ kind: "settle", answer: "accepted", ledger, receipt: null });
      assert.equal(await residualRoot(runner), encoded.residualAfter);
    } else {
      assert.equal(outcome.update, null, "settled: the kept update is out of date");
      assert.deepEqual(outcome.ledger, ledger);
      assert.equal(await residualRoot(runner), encoded.residualAfter);
    }
  }
});

test("a refused update goes back into the residual as a whole", async () => {
  const files = new MemoryFiles();
  await oneRound(files, "refused");
  const kept = files.kept.get("residual")?.payload ?? new Uint8Array();
  const residual = new Float32Array(kept.slice().buffer);
  for (const [i, value] of residual.entries()) assert.ok(Math.abs(value - (i + 1) / 10) < 1e-6);
});

test("an unusable update takes its residual along: the next one starts from zero", async () => {
  const files = new MemoryFiles();
  await oneRound(files, "unusable");
  assert.deepEqual(files.kept.get("residual")?.payload, new Uint8Array(16));
});

test("kept arrays of another model are not used", async () => {
  const files = new MemoryFiles();
  await files.write("residual", EMPTY_LEDGER, [new Uint8Array(12)]);
  const name = { rounds: 3, weightsRoot: hashOf("w"), stateRoot: hashOf("s") };
  await files.write("weights", name, [new Uint8Array(16)]);
  const { outcome } = await restored(files);
  assert.equal(outcome.weights, null, "the bytes do not have the root that the header names");
  assert.deepEqual(outcome.ledger, EMPTY_LEDGER);
});

test("a header of another form is told and not used", async () => {
  const files = new MemoryFiles();
  await files.write("update", { version: 2 }, [new Uint8Array(12)]);
  const { runner, notices } = runnerOn(files);
  const outcome = (await runner.run({ kind: "restore", run: RUN })) as OutcomeOf<"restore">;
  assert.equal(outcome.update, null);
  assert.match(notices[0] ?? "", /update has another form/);
});

test("the first weights are computed instead of fetched, if their root is the run's", async () => {
  const checkpoint = {
    rounds: 0,
    root: hashOf("checkpoint"),
    byteLength: 16,
    stateRoot: hashOf("state"),
  };
  const right = runnerOn(new MemoryFiles());
  right.compute.first = new Float32Array(4);
  await right.runner.run({ kind: "restore", run: RUN });
  const outcome = await right.runner.run({ kind: "load-checkpoint", checkpoint });
  assert.deepEqual(outcome, { kind: "load-checkpoint", weightsRoot: RUN.initialWeightsRoot });
  assert.deepEqual(right.api.asked, []);
  const wrong = runnerOn(new MemoryFiles());
  wrong.compute.first = Float32Array.of(1, 0, 0, 0);
  wrong.api.blobs.set(checkpoint.root, new Uint8Array(16));
  await wrong.runner.run({ kind: "restore", run: RUN });
  await wrong.runner.run({ kind: "load-checkpoint", checkpoint });
  assert.equal(wrong.api.asked.length, 1);
});

test("a checkpoint of another size is refused before it is fetched", async () => {
  const { runner, api } = runnerOn(new MemoryFiles());
  await runner.run({ kind: "restore", run: RUN });
  const checkpoint = { rounds: 3, root: hashOf("c"), byteLength: 20, stateRoot: hashOf("s") };
  await assert.rejects(runner.run({ kind: "load-checkpoint", checkpoint }), /20 B.*needs 16 B/);
  assert.deepEqual(api.asked, []);
});

test("a pseudo-gradient or a loss that is not a number fails the job", async () => {
  for (const broken of [{ step: Number.NaN }, { step: 1e6 }, { loss: Number.NaN }]) {
    const { runner, compute } = runnerOn(new MemoryFiles());
    Object.assign(compute, broken);
    await runner.run({ kind: "restore", run: RUN });
    const attempt = async () => {
      await runner.run({ kind: "train", round: assigned(0) });
      await runner.run({ kind: "encode", round: 0 });
    };
    await assert.rejects(attempt(), (error) => failureOf(error)?.transient === false);
  }
});

test("training stops after the current inner step and reports what was done", async () => {
  const { runner, compute } = runnerOn(new MemoryFiles());
  await runner.run({ kind: "restore", run: RUN });
  let steps = 0;
  compute.pause = async () => {
    steps += 1;
    if (steps === 4) runner.stopTraining();
  };
  const outcome = await runner.run({ kind: "train", round: assigned(0) });
  assert.equal(outcome.kind === "train" && outcome.innerSteps, 4);
});

test("the optimiser's state survives a polite leave", async () => {
  const files = new MemoryFiles();
  const first = runnerOn(files);
  await first.runner.run({ kind: "restore", run: RUN });
  await first.runner.run({ kind: "save" });
  const second = runnerOn(files);
  const [dataset] = RUN.dataset.files;
  second.api.blobs.set(dataset!.root, new Uint8Array(1));
  await second.runner.run({ kind: "restore", run: RUN });
  await second.runner.run({ kind: "prepare", run: RUN });
  assert.deepEqual(second.compute.loaded, first.compute.optimizer());
});

test("bugs are told from failures", () => {
  assert.equal(failureOf(new TypeError("x is undefined")), null);
  assert.deepEqual(failureOf(new Crash("no")), { sentence: "no", transient: false, code: null });
});
