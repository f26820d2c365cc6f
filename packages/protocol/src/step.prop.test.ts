// Random histories: honest events, early ones, late ones and nonsense, in any order, against what
// must always hold. Each command is a few numbers, so that a failing history shrinks.
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { demandOf } from "./demand.ts";
import type { LeaveReason, RunEvent, Update } from "./events.ts";
import { commitmentsClosed, roundClosed, roundOpened } from "./propose.ts";
import type { RunState } from "./state.ts";
import { replay, step } from "./step.ts";
import {
  fakeResult,
  hashOf,
  honestUpdate,
  runCreated,
  testRun,
  updateCommitted,
  workerIdFor,
  workerJoined,
} from "./testing/fixtures.ts";
import { snapshotText, totalCredit } from "./testing/observe.ts";

const NAMES = ["ada", "bob", "cleo", "dan", "eve"];
const REASONS: readonly LeaveReason[] = ["left", "expired", "evicted"];
const STALENESS_MAX = 2;
/** Most updates are in time. */
const ROUNDS_LATE = [0, 0, 0, 0, 0, 0, 0, 1, 2, 3, -1];

type Command = {
  readonly verb: number;
  readonly who: number;
  readonly number: number;
  readonly ms: number;
  readonly lie: number;
};

const commands = fc.array(
  fc.record({
    verb: fc.nat(15),
    who: fc.nat(NAMES.length - 1),
    number: fc.nat(11),
    ms: fc.oneof(fc.constant(0), fc.nat(500), fc.nat(80_000)),
    lie: fc.nat(24),
  }),
  { minLength: 20, maxLength: 200, size: "max" },
);

const histories = fc.record({
  commands,
  tokens: fc.constantFrom(null, 500, 3_000, 100_000),
  minutes: fc.constantFrom(0.05, 5),
  workersMin: fc.integer({ min: 1, max: 3 }),
});
type History = typeof histories extends fc.Arbitrary<infer T> ? T : never;

function seeds(state: RunState): { seed: string; auditSeed: string } {
  const { roundsClosed } = state;
  return { seed: hashOf(`seed ${roundsClosed}`), auditSeed: hashOf(`audit ${roundsClosed}`) };
}

/** What the protocol demands, as an event; undefined while it waits. */
function demanded(state: RunState, tick: number): RunEvent | undefined {
  const demand = demandOf(state, tick);
  switch (demand.kind) {
    case "open-round":
      return roundOpened(state, tick, seeds(state));
    case "close-commitments":
      return commitmentsClosed(state, tick, seeds(state).auditSeed);
    case "aggregate":
      return roundClosed(state, tick, fakeResult(state));
    case "finish":
      return { type: "RunFinished", tick, reason: demand.reason };
    case "wait":
      return undefined;
  }
}

/** Most updates are honest; a small `lie` bends one field. */
function update(state: RunState, { who, number, lie }: Command): Update {
  const workerId = workerIdFor(NAMES[who] ?? "");
  const newest = state.current?.round ?? state.roundsClosed - 1;
  const round = Math.max(0, newest - (ROUNDS_LATE[number] ?? 0));
  const honest = honestUpdate(state, workerId, round);
  const metrics = { ...honest.metrics, innerStepMicros: 1 + number ** 6 };
  const lies: readonly Partial<Update>[] = [
    { baseRoot: hashOf("lie") },
    { tokens: honest.tokens + 1 },
    { innerSteps: honest.innerSteps + 1 },
    { data: { kind: "private" } },
    { round: honest.round + 1 },
    { groupCount: 2 },
  ];
  return { ...honest, metrics, ...lies[lie] };
}

function eventOf(state: RunState, command: Command, tick: number): RunEvent | undefined {
  const { verb, who, number } = command;
  const name = NAMES[who] ?? "";
  const workerId = workerIdFor(name);
  switch (verb) {
    case 0:
    case 1:
      return workerJoined(name, tick);
    case 2:
      return { type: "WorkerLeft", tick, workerId, reason: REASONS[number % 3] ?? "left" };
    case 3:
      return roundOpened(state, tick, seeds(state));
    case 4:
      return commitmentsClosed(state, tick, seeds(state).auditSeed);
    case 5:
      return roundClosed(state, tick, fakeResult(state));
    case 6:
      return { type: number < 6 ? "RunPaused" : "RunResumed", tick };
    case 7:
      return number === 0
        ? { type: "RunFinished", tick, reason: "stopped" }
        : { type: "RunFinished", tick, reason: number < 6 ? "tokens" : "minutes" };
    case 8:
    case 9:
    case 10:
    case 11:
      return updateCommitted(workerId, update(state, command), tick);
    default:
      return demanded(state, tick);
  }
}

type Visit = {
  readonly before: RunState;
  readonly after: RunState;
  readonly event: RunEvent;
  readonly accepted: boolean;
};

/** Plays a history; each step is shown to the visitor. Returns the accepted events and the end. */
function play(
  history: History,
  visit: (visit: Visit) => void,
): { readonly events: RunEvent[]; readonly state: RunState } {
  const { tokens, minutes, workersMin } = history;
  const rounds = { workersMin, evaluateEvery: 2, evaluateWindows: 3, stalenessMax: STALENESS_MAX };
  const first = runCreated(testRun({ tokens, minutes, rounds }));
  const created = step(null, first, { now: 0 });
  assert.ok(created.ok);
  let { state } = created.value;
  let now = 0;
  const events: RunEvent[] = [first];
  for (const command of history.commands) {
    now += command.ms;
    const event = eventOf(state, command, now);
    if (!event) continue;
    const next = step(state, event, { now });
    const after = next.ok ? next.value.state : state;
    visit({ before: state, after, event, accepted: next.ok });
    if (next.ok) events.push(event);
    state = after;
  }
  return { events, state };
}

test("an event never changes the state that it was given, and a refused one changes nothing", () => {
  fc.assert(
    fc.property(histories, (history) => {
      let text: string | undefined;
      play(history, ({ before, after, accepted }) => {
        if (text !== undefined) assert.equal(snapshotText(before), text);
        text = snapshotText(after);
        if (!accepted) assert.equal(after, before);
      });
    }),
  );
});

test("credit never falls, and every accepted token is credited once its round has closed", () => {
  fc.assert(
    fc.property(histories, (history) => {
      let acceptedTokens = 0;
      const { state } = play(history, ({ before, after, event, accepted }) => {
        if (accepted && event.type === "UpdateCommitted") acceptedTokens += event.update.tokens;
        for (const [workerId, worker] of before.workers) {
          const credit = after.workers.get(workerId)?.credit ?? -1;
          assert.ok(credit >= worker.credit, `${workerId}: ${worker.credit} → ${credit}`);
        }
        const open = [...after.pending, ...after.closing].reduce(
          (sum, commitment) => sum + commitment.update.tokens,
          0,
        );
        assert.equal(totalCredit(after), after.tokensCommitted);
        assert.equal(totalCredit(after) + open, acceptedTokens);
      });
      if (state.phase === "finished") assert.equal(totalCredit(state), acceptedTokens);
    }),
  );
});

test("a replay of the accepted events gives the same state", () => {
  fc.assert(
    fc.property(histories, (history) => {
      const { events, state } = play(history, () => undefined);
      const again = replay(null, events);
      assert.ok(again.ok);
      assert.equal(snapshotText(again.value), snapshotText(state));
    }),
  );
});

test("the state stays small: nothing is kept that a late update cannot need", () => {
  fc.assert(
    fc.property(histories, (history) => {
      play(history, ({ after }) => {
        const { pending, closing, recent, workers } = after;
        assert.ok(recent.length <= STALENESS_MAX);
        const perWorker = STALENESS_MAX + 1;
        assert.ok(pending.length <= workers.size * perWorker, `${pending.length} pending`);
        assert.ok(closing.length <= workers.size * perWorker, `${closing.length} closing`);
        assert.equal(after.current === null, !["training", "closing"].includes(after.phase));
      });
    }),
  );
});

test("samples are dealt out without gap or overlap, and no worker gets more than H steps", () => {
  fc.assert(
    fc.property(histories, (history) => {
      play(history, ({ before, after, event, accepted }) => {
        if (!accepted || event.type !== "RoundOpened" || !after.current) return;
        const ranges = [...after.current.assignments.values()].sort(
          (a, b) => a.firstSample - b.firstSample,
        );
        let at = before.sampleCursor;
        for (const { firstSample, sampleCount, innerSteps } of ranges) {
          assert.equal(firstSample, at);
          assert.equal(sampleCount, innerSteps * before.run.recipe.batchSequences);
          assert.ok(innerSteps >= 1 && innerSteps <= before.run.recipe.innerSteps);
          at += sampleCount;
        }
        assert.equal(after.sampleCursor, at);
        const windows = ranges.flatMap((range) => range.evaluate?.windows ?? []);
        assert.equal(new Set(windows).size, windows.length, "no window is evaluated twice");
      });
    }),
  );
});

test("what is demanded is accepted, from every state and at every time", () => {
  fc.assert(
    fc.property(histories, fc.nat(200_000), (history, later) => {
      play(history, ({ after }) => {
        const now = after.tick + later;
        const event = demanded(after, now);
        if (!event) return;
        const next = step(after, event, { now });
        assert.ok(next.ok, next.ok ? "" : `${event.type}: ${next.error.message}`);
      });
    }),
  );
});

/** Follows demands and timers, with everybody here and honest, until the run is finished. */
function driveToTheEnd(from: RunState): RunState {
  let state = from;
  let now = from.tick;
  const apply = (event: RunEvent): void => {
    const next = step(state, event, { now });
    assert.ok(next.ok, next.ok ? "" : `${event.type}: ${next.error.code} ${next.error.message}`);
    state = next.value.state;
  };
  for (const name of NAMES) {
    const known = state.workers.get(workerIdFor(name));
    if (!known?.active) apply(workerJoined(name, now));
  }
  if (state.phase === "paused") apply({ type: "RunResumed", tick: now });
  const stepsMax = 20_000;
  for (let steps = 0; state.phase !== "finished"; steps++) {
    assert.ok(steps < stepsMax, `not finished after ${steps} events: ${snapshotText(state)}`);
    now += 100;
    const { current } = state;
    const next = demanded(state, now);
    if (next) {
      apply(next);
      continue;
    }
    const open = [...(current?.assignments.keys() ?? [])].find(
      (workerId) => !current?.committed.has(workerId),
    );
    const demand = demandOf(state, now);
    if (open && current)
      apply(updateCommitted(open, honestUpdate(state, open, current.round), now));
    else if (demand.kind === "wait" && demand.wakeAt !== null) now = demand.wakeAt;
    else assert.fail(`nothing leads on from here: ${snapshotText(state)}`);
  }
  return state;
}

test("from every state, live workers and followed demands end in a finished run", () => {
  fc.assert(
    fc.property(histories, (history) => {
      const { state } = play({ ...history, minutes: 0.05 }, () => undefined);
      if (state.phase === "finished") return;
      const end = driveToTheEnd(state);
      assert.equal(end.pending.length, 0, "no accepted update is left over");
    }),
    { numRuns: 50 },
  );
});

test("the histories above reach every phase and every kind of event", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(histories, (history) => {
      play(history, ({ after, event, accepted }) => {
        seen.add(after.phase);
        if (!accepted) return;
        seen.add(event.type);
        if (event.type !== "UpdateCommitted") return;
        const newest = after.current?.round ?? after.roundsClosed;
        seen.add(`late by ${newest - event.update.round}`);
      });
    }),
    { seed: 1 },
  );
  for (const expected of [
    "waiting training closing paused finished WorkerJoined WorkerLeft RoundOpened",
    "UpdateCommitted CommitmentsClosed RoundClosed RunPaused RunResumed RunFinished",
  ].flatMap((words) => words.split(" "))) {
    assert.ok(seen.has(expected), `no history reached ${expected}`);
  }
  assert.ok(seen.has("late by 1") && seen.has("late by 2"), "no history has late updates");
});
