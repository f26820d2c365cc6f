// The contract of runtimes: what every backend must compute, keep and give back, as checks.
// It deliberately knows no test runner: checks run in Node and in a page.
import { assert, defined } from "@manyhands/base/assert";
import { messageOf } from "@manyhands/base/errors";
import * as ir from "../ir/ops.ts";
import { graphOf } from "../ir/tensor.ts";
import { type ModelConfig, parameterPlaces } from "../model/config.ts";
import { createDeviceTrainer } from "../train/device-trainer.ts";
import { ADAMW_RECIPE, type OptimizerOptions } from "../train/options.ts";
import { createTrainer, DivergedError, type StepResult } from "../train/trainer.ts";
import { type PackedTensor, relativeDistance, unpack } from "../vectors.ts";
import { TUNE_CHECKS } from "./fine-tuning.contract.ts";
import { checkOperation, type OperationVectors, titleOf } from "./operations.contract.ts";
import { PACKED_CHECKS } from "./packed.contract.ts";
import { reference } from "./reference.ts";
import type { StatefulRuntime } from "./runtime.ts";

type ModelVector = {
  readonly name: string;
  readonly config: ModelConfig;
  readonly tokens: PackedTensor;
  readonly weights: PackedTensor;
  readonly loss: number;
  readonly gradients: PackedTensor;
};

type TrainingVector = {
  readonly name: string;
  readonly config: ModelConfig;
  readonly recipe: OptimizerOptions;
  readonly tokens: PackedTensor;
  readonly learningRateScales: readonly number[];
  readonly weights: PackedTensor;
  readonly losses: readonly number[];
  readonly gradientNorms: readonly number[];
  readonly finalWeights: PackedTensor;
};

/** The files of vectors/engine. */
export type Truth = {
  readonly operations: OperationVectors;
  readonly models: { readonly models: readonly ModelVector[] };
  readonly trainings: { readonly trainings: readonly TrainingVector[] };
};

/** A backend under test. */
export type Subject = {
  readonly runtime: StatefulRuntime;
  /** Bytes that the backend holds now, where they can be counted exactly. */
  readonly heldBytes?: () => number;
  /** Bytes of the whole process, where only the operating system can be asked. */
  readonly residentBytes?: () => Promise<number>;
  /** How much further off values may be, as GPUs round divisions and roots. Default 1. */
  readonly slack?: number;
  /** How many trainers come and go in the check of memory. Default 12. */
  readonly memoryCycles?: number;
};

export type Check = { readonly title: string; readonly run: () => Promise<void> };

/** Every check of the contract. */
export function contractOf(subject: Subject, truth: Truth): readonly Check[] {
  const { models } = truth.models;
  const { trainings } = truth.trainings;
  return [
    ...truth.operations.cases.map((entry, index) => ({
      title: `operation ${index}: ${titleOf(entry)}`,
      run: () => checkOperation(subject.runtime, entry, 4e-6 * (subject.slack ?? 1)),
    })),
    ...models.map((vector) => ({
      title: `${vector.name}: loss and every gradient are PyTorch's`,
      run: () => checkGradients(subject, vector),
    })),
    ...trainings.map((vector) => ({
      title: `${vector.name}: ten steps lose what PyTorch loses`,
      run: () => checkTraining(subject, vector),
    })),
    ...trainings.map((vector) => ({
      title: `${vector.name}: ten steps with state on the device lose what PyTorch loses`,
      run: () => checkDeviceTraining(subject, vector),
    })),
    {
      title: "Muon on half of the matrices a step moves on the device what it moves on the host",
      run: () => checkMuonTurns(subject, defined(trainings[2], "there is a training by Muon")),
    },
    ...PACKED_CHECKS.map(({ title, run }) => ({ title, run: () => run(subject.runtime) })),
    ...TUNE_CHECKS.map(({ title, run }) => ({ title, run: () => run(subject) })),
    { title: "graphs share one state, in turns", run: () => checkTurns(subject) },
    { title: "arrays are fed and filled anew in every run", run: () => checkArrays(subject) },
    { title: "state moves only when a run is accepted", run: () => checkState(subject) },
    {
      title: "a step that diverges changes nothing on the device",
      run: () => checkDivergence(subject, defined(trainings[0], "there is a training")),
    },
    {
      title: "graphs under way at the same time do not disturb each other",
      run: () => checkConcurrency(subject),
    },
    {
      title: "memory comes back",
      run: () => checkMemory(subject, defined(trainings[0], "there is a training")),
    },
    { title: "a large state's memory comes back", run: () => checkStateMemory(subject) },
  ];
}

function floats(packed: PackedTensor): Float32Array {
  const data = unpack(packed);
  assert(data instanceof Float32Array, "the vector is f32");
  return data;
}

function ints(packed: PackedTensor): Int32Array {
  const data = unpack(packed);
  assert(data instanceof Int32Array, "the vector is i32");
  return data;
}

function checkClose(what: string, found: number, expected: number, relative: number): void {
  const off = Math.abs(found - expected);
  assert(off <= relative * Math.abs(expected), `${what} is ${found}, not ${expected}`);
}

async function checkGradients({ runtime, slack = 1 }: Subject, vector: ModelVector): Promise<void> {
  const [sequences = 0, row = 0] = vector.tokens.shape;
  const batch = { sequences, contextLength: row - 1 };
  const recipe = { runtime, model: vector.config, optimizer: ADAMW_RECIPE, batch };
  const trainer = await createTrainer(recipe);
  trainer.weights.set(floats(vector.weights));
  const { loss, gradients } = await trainer.gradients(ints(vector.tokens));
  checkClose("the loss", loss, vector.loss, 1e-6 * slack);
  const expected = floats(vector.gradients);
  for (const { name, offset, size } of parameterPlaces(vector.config)) {
    const part = (flat: Float32Array): Float32Array => flat.subarray(offset, offset + size);
    const distance = relativeDistance(part(gradients), part(expected));
    assert(distance < 1e-5 * slack, `${name} is off by ${distance}`);
  }
  await trainer.dispose();
}

type Step = (tokens: Int32Array, learningRateScale: number) => Promise<StepResult>;

/** Ten steps; their losses and norms are the vector's. */
async function checkSteps(vector: TrainingVector, step: Step): Promise<void> {
  const tokens = ints(vector.tokens);
  const size = tokens.length / vector.losses.length;
  for (const [index, expected] of vector.losses.entries()) {
    const own = tokens.subarray(index * size, (index + 1) * size);
    const { loss, gradientNorm } = await step(own, vector.learningRateScales[index] ?? 1);
    checkClose(`the loss of step ${index}`, loss, expected, 1e-4);
    checkClose(`the norm of step ${index}`, gradientNorm, vector.gradientNorms[index] ?? 0, 1e-3);
  }
}

function setupOf(
  { runtime }: Subject,
  vector: TrainingVector,
): {
  readonly runtime: StatefulRuntime;
  readonly model: ModelConfig;
  readonly optimizer: OptimizerOptions;
  readonly batch: { readonly sequences: number; readonly contextLength: number };
} {
  const [, sequences = 0, row = 0] = vector.tokens.shape;
  const batch = { sequences, contextLength: row - 1 };
  return { runtime, model: vector.config, optimizer: vector.recipe, batch };
}

async function checkTraining(subject: Subject, vector: TrainingVector): Promise<void> {
  const trainer = await createTrainer(setupOf(subject, vector));
  trainer.weights.set(floats(vector.weights));
  await checkSteps(vector, (tokens, learningRateScale) =>
    trainer.step(tokens, { learningRateScale }),
  );
  const distance = relativeDistance(trainer.weights, unpack(vector.finalWeights));
  assert(distance < 1e-4, `the weights are off by ${distance}`);
  await trainer.dispose();
}

async function checkDeviceTraining(subject: Subject, vector: TrainingVector): Promise<void> {
  const trainer = await createDeviceTrainer(setupOf(subject, vector));
  await trainer.loadWeights(floats(vector.weights));
  await checkSteps(vector, (tokens, learningRateScale) =>
    trainer.step(tokens, { learningRateScale }),
  );
  const distance = relativeDistance(await trainer.readWeights(), unpack(vector.finalWeights));
  assert(distance < 1e-4, `the weights are off by ${distance}`);
  const state = await trainer.optimizerState();
  assert(state.step === vector.losses.length, "every step is counted");
  await trainer.dispose();
}

/** Against the plain reference's trainer: four steps, so that every matrix moves twice. */
async function checkMuonTurns(subject: Subject, vector: TrainingVector): Promise<void> {
  const muon = defined(vector.recipe.muon, "the recipe is Muon's");
  const optimizer = { ...vector.recipe, muon: { ...muon, every: 2 } };
  const setup = { ...setupOf(subject, vector), optimizer };
  const expected = await createTrainer({ ...setup, runtime: reference });
  const found = await createDeviceTrainer(setup);
  expected.weights.set(floats(vector.weights));
  await found.loadWeights(expected.weights);
  const tokens = ints(vector.tokens);
  const size = tokens.length / vector.losses.length;
  for (let step = 0; step < 4; step++) {
    const own = tokens.subarray(step * size, (step + 1) * size);
    const [mine, theirs] = [await found.step(own), await expected.step(own)];
    checkClose(`the loss of step ${step}`, mine.loss, theirs.loss, 1e-4);
  }
  const distance = relativeDistance(await found.readWeights(), expected.weights);
  assert(distance < 1e-4, `the weights are off by ${distance}`);
  const { moment1 } = await found.optimizerState();
  const momentum = relativeDistance(moment1, expected.optimizerState().moment1);
  assert(momentum < 1e-3, `the momentum is off by ${momentum}`);
  await Promise.all([found.dispose(), expected.dispose()]);
}

/** Two graphs over x and y: one moves x by y, the other y by what is fed. */
async function checkTurns({ runtime }: Subject): Promise<void> {
  const [x, y, fed] = [ir.input("x", [2]), ir.input("y", [2]), ir.input("fed", [2])];
  const state = await runtime.compileStateful(
    { graph: graphOf({ next: ir.add(x, y) }), carried: [{ output: "next", input: "x" }] },
    { graph: graphOf({ next: ir.add(y, fed) }), carried: [{ output: "next", input: "y" }] },
  );
  await state.load({ x: Float32Array.of(1, 2), y: Float32Array.of(10, 20) });
  const feeds = { fed: Float32Array.of(100, 200) };
  await state.run(feeds);
  await state.run(feeds, undefined, 1);
  await state.run(feeds, () => false, 1);
  await state.run(feeds);
  const found = await state.read();
  assert(String(found["x"]) === "121,242", `x is ${found["x"]}`);
  assert(String(found["y"]) === "110,220", `y is ${found["y"]}`);
  await state.dispose();
}

async function checkArrays({ runtime }: Subject): Promise<void> {
  const [x, y] = [ir.input("x", [2, 2]), ir.input("y", [2, 2])];
  const graph = graphOf({ product: ir.matmul(x, y), sum: ir.add(x, y) });
  const executable = await runtime.compile(graph);
  const store = Float32Array.of(0, 1, 2, 3, 4, 9);
  const feeds = { x: store.subarray(1, 5), y: Float32Array.of(1, 0, 0, 1) };
  const into = { product: new Float32Array(6).subarray(1, 5) };
  const first = await executable.run(feeds, into);
  assert(first["product"] === into.product, "the given array is the result");
  assert(String(into.product) === "1,2,3,4", `found ${into.product}`);
  assert(String(first["sum"]) === "2,2,3,5", `found ${first["sum"]}`);
  const kept = first["sum"];
  feeds.x.set([5, 6, 7, 8]);
  await executable.run(feeds, into);
  assert(String(into.product) === "5,6,7,8", `found ${into.product}`);
  assert(String(kept) === "2,2,3,5", "a fresh result is the caller's for good");
  await executable.dispose();
}

async function checkState({ runtime }: Subject): Promise<void> {
  const [x, state] = [ir.input("x", [2]), ir.input("state", [2])];
  const next = ir.add(state, x);
  const graph = graphOf({ next, doubled: ir.mul(next, ir.scalar(2)) });
  const counter = await runtime.compileStateful({
    graph,
    carried: [{ output: "next", input: "state" }],
  });
  await counter.load({ state: Float32Array.of(10, 20) });
  const one = { x: Float32Array.of(1, 2) };
  const outputs = await counter.run(one);
  assert(String(outputs["doubled"]) === "22,44", `found ${outputs["doubled"]}`);
  assert(outputs["next"] === undefined, "carried outputs stay on the device");
  await counter.run(one);
  const refused = await counter.run(one, () => false);
  assert(String(refused["doubled"]) === "26,52", `found ${refused["doubled"]}`);
  assert(String((await counter.read())["state"]) === "12,24", "a refused run changes nothing");
  await counter.run(one);
  assert(String((await counter.read())["state"]) === "13,26", "and the next run goes on");
  await counter.load({ state: Float32Array.of(0, 0) });
  assert(String((await counter.read())["state"]) === "0,0", "what is loaded is read");
  await counter.dispose();
}

async function checkDivergence(subject: Subject, vector: TrainingVector): Promise<void> {
  const trainer = await createDeviceTrainer(setupOf(subject, vector));
  const tokens = ints(vector.tokens);
  const own = tokens.subarray(0, tokens.length / vector.losses.length);
  await trainer.loadWeights(floats(vector.weights));
  await trainer.step(own);
  const [before, state] = [await trainer.readWeights(), await trainer.optimizerState()];
  const broken = before.slice().fill(Number.NaN);
  await trainer.loadWeights(broken);
  const caught = await trainer.step(own).then(
    () => undefined,
    (error: unknown) => error,
  );
  assert(caught instanceof DivergedError, `a DivergedError, not ${messageOf(caught)}`);
  const after = await trainer.optimizerState();
  assert(relativeDistance(after.moment1, state.moment1) === 0, "the moments are as before");
  assert(after.step === 1, "the step does not count");
  await trainer.dispose();
}

async function checkConcurrency({ runtime }: Subject): Promise<void> {
  const x = ir.input("x", [64, 64]);
  const graphs = [1, 2, 3].map((scale) => graphOf({ y: ir.matmul(x, x, { scale }) }));
  const ones = new Float32Array(64 * 64).fill(1);
  const executables = await Promise.all(graphs.map((graph) => runtime.compile(graph)));
  const runs = [0, 1, 2, 0, 1, 2].map(async (index) => {
    const outputs = await defined(executables[index], "compiled").run({ x: ones });
    const expected = 64 * (index + 1);
    assert(
      outputs["y"]?.every((value) => value === expected),
      `${expected}, not ${outputs["y"]?.[0]}`,
    );
  });
  await Promise.all(runs);
  await Promise.all(executables.map((executable) => executable.dispose()));
}

const CYCLES_TO_SETTLE = 2;
const CYCLES = 12;

/** Trainers that come and go leave nothing behind once allocators and caches have settled. */
async function checkMemory(subject: Subject, vector: TrainingVector): Promise<void> {
  const { heldBytes, memoryCycles = CYCLES } = subject;
  if (heldBytes === undefined) return;
  const cycle = async (): Promise<void> => {
    const trainer = await createDeviceTrainer(setupOf(subject, vector));
    const tokens = ints(vector.tokens);
    const own = tokens.subarray(0, tokens.length / vector.losses.length);
    for (let step = 0; step < 3; step++) await trainer.step(own);
    await trainer.dispose();
  };
  for (let i = 0; i < CYCLES_TO_SETTLE; i++) await cycle();
  const before = heldBytes();
  for (let i = 0; i < memoryCycles; i++) await cycle();
  const kept = heldBytes() - before;
  assert(kept <= 0, `${memoryCycles} disposed trainers keep ${kept} bytes`);
}

/** 8 MB each, 540 MB in all: that stands out from what a process takes and keeps by itself. */
const STATE_FLOATS = 2 ** 21;
const STATES = 64;
const STATES_TO_SETTLE = 8;
const RESIDENT_SLACK = 256e6;

/** States that come and go leave nothing behind in the process. */
async function checkStateMemory({ runtime, residentBytes }: Subject): Promise<void> {
  if (residentBytes === undefined) return;
  const next = ir.add(ir.input("state", [STATE_FLOATS]), ir.scalar(1));
  const graph = graphOf({ next, first: ir.slice(next, 0, 0, 1) });
  const cycle = async (): Promise<void> => {
    const counter = await runtime.compileStateful({
      graph,
      carried: [{ output: "next", input: "state" }],
    });
    await counter.load({ state: new Float32Array(STATE_FLOATS) });
    const { first } = await counter.run({});
    assert(first?.[0] === 1, "the state counts");
    await counter.dispose();
  };
  for (let i = 0; i < STATES_TO_SETTLE; i++) await cycle();
  const before = await residentBytes();
  for (let i = 0; i < STATES; i++) await cycle();
  const kept = (await residentBytes()) - before;
  assert(kept <= RESIDENT_SLACK, `${STATES} disposed states keep ${kept} bytes`);
}
