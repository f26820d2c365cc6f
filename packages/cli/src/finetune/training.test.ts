// The loop with a tuner that only counts: when it validates, saves, pauses and stops.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ok } from "@manyhands/base/result";
import { TextDataBuilder } from "@manyhands/engine/data/text-data";
import { byteTokenizer } from "@manyhands/engine/tokenizer/text-tokenizer";
import type { Tuner, TuneState } from "@manyhands/engine/train/tuner";
import { Pause } from "./pause.ts";
import type { Recipe } from "./recipe.ts";
import { EMPTY_HISTORY, type TrainingOptions, train } from "./training.ts";

const BATCH = { batch: 4, microBatch: 2, sequence: 8, steps: 10, learningRate: 0.5 };
const SCHEDULE = { kind: "constant", warmupSteps: 0, cooldownSteps: 0 } as const;

function countingTuner(stepsTaken = 0): Tuner {
  const floats = new Float32Array(1);
  return {
    stepsTaken,
    async step(this: { stepsTaken: number }, batches: readonly unknown[]) {
      assert.equal(batches.length, 2, "two micro-batches");
      this.stepsTaken += 1;
      return { loss: 1 / this.stepsTaken, gradientNorm: 1, tokens: 32 };
    },
    evaluate: async () => ({ loss: 2, tokens: 8 }),
    state(this: { stepsTaken: number }): TuneState {
      return { step: this.stepsTaken, weights: floats, moment1: floats, moment2: floats };
    },
  } as unknown as Tuner;
}

function dataOf(): TrainingOptions["data"] {
  const shape = { sequence: 8, layout: "packed", loss: "all", seed: 1 } as const;
  const builder = new TextDataBuilder({
    ...shape,
    tokenizer: byteTokenizer(),
    validationShare: 0.2,
  });
  const text = "0123456789".repeat(20);
  builder.add({ file: "a.txt", line: 1, example: ok({ kind: "text", text }) });
  return builder.build();
}

type Heard = { options: TrainingOptions; events: string[]; pause: Pause; stop: AbortController };

function setup(onStep: (step: number, heard: Heard) => void, taken = 0): Heard {
  const events: string[] = [];
  const stop = new AbortController();
  const pause = new Pause();
  let clock = 0;
  const train = Array.from({ length: taken }, (_, i) => ({ step: i + 1, tokens: 0, loss: 1 }));
  const options: TrainingOptions = {
    recipe: { ...BATCH, schedule: SCHEDULE } as unknown as Recipe,
    tuner: countingTuner(taken),
    data: dataOf(),
    history: { ...EMPTY_HISTORY, train },
    ...{ evalEvery: 4, saveEvery: 3, stop: stop.signal },
    hooks: {
      onStep: ({ step }) => {
        events.push(`step ${step}`);
        onStep(step, heard);
      },
      onValidation: ({ step }) => events.push(`validation ${step}`),
      save: async ({ step }, history) => {
        assert.equal(history.train.length, step);
        events.push(`save ${step}`);
      },
      resumed: () => pause.over(),
      isPaused: () => pause.isPaused,
      now: () => (clock += 5),
    },
  };
  const heard = { options, events, pause, stop };
  return heard;
}

test("it validates at the start, at intervals and at the end, and saves at its own", async () => {
  const { options, events } = setup(() => undefined);
  const { finished, history } = await train(options);
  assert.ok(finished);
  const rest = events.filter((event) => !event.startsWith("step"));
  assert.deepEqual(rest, [
    ...["validation 0", "save 3", "validation 4", "save 6", "validation 8", "save 9"],
    ...["validation 10", "save 10"],
  ]);
  assert.deepEqual(history.train.at(-1), { step: 10, tokens: 320, loss: 0.1 });
  assert.equal(history.trainingMs, 5 * (10 + 4));
});

test("it stops after the step in progress, with that step saved, and goes on from there", async () => {
  const first = setup((step, { stop }) => step === 5 && stop.abort());
  assert.equal((await train(first.options)).finished, false);
  assert.deepEqual(first.events.slice(-2), ["step 5", "save 5"]);
  const second = setup(() => undefined, 5);
  await train(second.options);
  assert.deepEqual(second.events.slice(0, 3), ["step 6", "save 6", "step 7"]);
});

test("a pause saves and takes no step until it is over", async () => {
  const heard = setup((step, { pause }) => step === 2 && pause.toggle());
  const end = train(heard.options);
  while (heard.events.at(-1) !== "save 2") await new Promise(setImmediate);
  for (let i = 0; i < 10; i++) await new Promise(setImmediate);
  assert.equal(heard.events.at(-1), "save 2");
  heard.pause.toggle();
  assert.ok((await end).finished);
});
