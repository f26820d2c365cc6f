// What a person reads, for every state that the device can be in.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CoreStatus } from "../core/status.ts";
import type { Offer } from "./device-view.ts";
import { type ViewFacts, viewOf, type WorkFacts } from "./view.ts";

const OFFER: Offer = {
  fit: "fits",
  why: null,
  compute: "wasm",
  runtimeBytes: 3e6,
  dataBytes: 1e6,
  weightsBytes: 4e5,
  keptBytes: 0,
  roundBytes: 2e4,
  memoryBytes: 2e8,
};
const STATUS: CoreStatus = {
  phase: "Training round 3, step 2 of 5.",
  doing: "training",
  connected: true,
  reconnectAttempt: 0,
  runName: "tiny",
  round: 3,
  roundsFollowed: 3,
  innerStep: 2,
  innerSteps: 5,
  loss: 2.5,
  tokensPerSecond: 1_000,
  tokensGiven: 4_096,
  acceptedUpdates: 2,
  lastReject: null,
};
const WORK: WorkFacts = {
  wish: "work",
  standing: { verdict: { kind: "run", duty: 0.7, slowed: null }, since: 0 },
  status: STATUS,
  workerId: "ab",
  loading: null,
  updatesBefore: 1,
  end: null,
  trouble: null,
  gpu: null,
  isOver: false,
};
const FACTS: ViewFacts = {
  runId: "7",
  offer: OFFER,
  isElsewhere: false,
  lookTrouble: null,
  work: null,
  workerId: null,
  bytesUsed: 9,
  firstUpdateMs: null,
  notice: null,
};

function shown(facts: Partial<ViewFacts>, work?: Partial<WorkFacts>) {
  return viewOf({ ...FACTS, ...facts, work: work ? { ...WORK, ...work } : null });
}

test("before: looking, then ready; a link that leads nowhere says why", () => {
  assert.equal(shown({ offer: null }).phase, "looking");
  assert.equal(shown({}).phase, "ready");
  const trouble = { message: "There is no such run here.", hint: "Ask for the join link again." };
  const view = shown({ offer: null, lookTrouble: trouble });
  assert.deepEqual([view.phase, view.now, view.problem], ["looking", trouble.message, trouble]);
});

test("another tab works: that is all there is to say", () => {
  assert.equal(shown({ isElsewhere: true }).phase, "elsewhere");
});

test("loading until the first step, then training with its numbers", () => {
  const loading = { done: 1, total: 4 };
  const first = shown({}, { status: null, updatesBefore: null, loading });
  assert.deepEqual([first.phase, first.loading], ["loading", loading]);
  const view = shown({}, {});
  assert.equal(view.phase, "training");
  assert.equal(view.now, STATUS.phase);
  assert.deepEqual(view.step, { at: 2, of: 5 });
  assert.deepEqual([view.tokens, view.updates, view.bytesUsed], [4_096, 2, 9]);
  assert.deepEqual([view.tokensPerSecond, view.loss, view.workerId], [1_000, 2.5, "ab"]);
});

test("resting: the limit's own sentence, and no speed", () => {
  const verdict = { kind: "rest", code: "battery", sentence: "Resting until …." } as const;
  const view = shown({}, { standing: { verdict, since: 0 } });
  assert.deepEqual([view.phase, view.now, view.step], ["resting", "Resting until ….", null]);
  assert.equal(view.tokensPerSecond, 0);
});

test("finishing, pausing, leaving, and the end", () => {
  const finishing = shown({}, { wish: "finish" });
  assert.equal(finishing.isFinishing, true);
  assert.match(finishing.now, /step 2 of 5\. Then it stops\.$/);
  assert.equal(shown({}, { wish: "pause" }).now, "Paused by you.");
  assert.match(shown({}, { wish: "leave" }).now, /^Leaving/);
  const end = { reason: "stopped", sentence: "Stopped politely.", code: null } as const;
  const over = shown({}, { wish: "finish", isOver: true, end });
  assert.deepEqual([over.phase, over.isFinishing, over.problem], ["ended", false, null]);
  assert.equal(over.now, "Stopped, as you asked, after 2 accepted updates.");
});

test("a run that is finished is no problem; what is one has a hint", () => {
  const finished = { reason: "finished", sentence: "The run is finished.", code: null } as const;
  const good = shown({}, { isOver: true, end: finished });
  assert.deepEqual([good.now, good.problem], [finished.sentence, null]);
  const full = { reason: "storage-failed", sentence: "Storage is full.", code: null } as const;
  const bad = shown({}, { isOver: true, end: full });
  assert.equal(bad.problem?.message, full.sentence);
  assert.match(bad.problem?.hint ?? "", /free some space/);
});
