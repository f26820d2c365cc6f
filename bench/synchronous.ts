// One device trains alone: what a swarm is measured against. The same model, data order, recipe and
// schedule, no rounds, no compression. Prints a line of JSON; bench/swarm.ts starts it, or a
// person:
//   node bench/synchronous.ts examples/shakespeare/run.yaml --tokens 1000000 --sequences 16
import { parseArgs } from "node:util";
import { splitTokens } from "@manyhands/engine/data/dataset";
import { Sampler } from "@manyhands/engine/data/sampler";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { createEvaluator } from "@manyhands/engine/train/evaluate";
import { createTrainer } from "@manyhands/engine/train/trainer";
import { POSITION_END } from "@manyhands/protocol/limits";
import { learningRateScale } from "@manyhands/protocol/schedule";
import { optimizerOptions } from "@manyhands/worker/compute/run-facts";
import { prepareRun } from "manyhands/run-file/freeze";
import { loadRunFile } from "manyhands/run-file/load-run-file";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: "string" },
    sequences: { type: "string" },
    "learning-rate": { type: "string" },
    "adam-learning-rate": { type: "string" },
    "weight-decay": { type: "string" },
    seed: { type: "string" },
    threads: { type: "string", default: "1" },
  },
});

const number = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Number(text);

const loaded = await loadRunFile(positionals[0] ?? "examples/shakespeare/run.yaml");
const { run, initialWeights, files } = prepareRun(loaded, { seed: number(values.seed) });
const recipe = {
  ...run.recipe,
  batchSequences: number(values.sequences) ?? run.recipe.batchSequences,
  learningRate: number(values["learning-rate"]) ?? run.recipe.learningRate,
  adamLearningRate: number(values["adam-learning-rate"]) ?? run.recipe.adamLearningRate,
  weightDecay: number(values["weight-decay"]) ?? run.recipe.weightDecay,
};
const budgetTokens = number(values.tokens) ?? run.budget.tokens ?? 1_000_000;
const threads = Number(values.threads);

const { train, validation } = splitTokens(files, run.dataset.validationBps);
const { contextLength, batchSequences: sequences } = recipe;
const batch = { sequences, contextLength };
const graph = { runtime: ortNode, model: run.model, batch, threads };
const trainer = await createTrainer({ ...graph, optimizer: optimizerOptions(recipe) });
trainer.weights.set(initialWeights);
const sampler = new Sampler({ train, contextLength, seed: run.seed });
const tokens = new Int32Array(sequences * (contextLength + 1));
const steps = Math.floor(budgetTokens / (sequences * contextLength));
const reportEvery = Math.max(1, Math.floor(steps / 20));

const startedAt = performance.now();
const seconds = (): number => (performance.now() - startedAt) / 1_000;
let trainLoss = 0;
for (let step = 0; step < steps; step++) {
  sampler.fill(tokens, step * sequences, sequences);
  const position = ((step + 0.5) / steps) * POSITION_END;
  const scale = learningRateScale(recipe.schedule, position);
  trainLoss = (await trainer.step(tokens, { learningRateScale: scale })).loss;
  if ((step + 1) % reportEvery === 0) {
    const left = (seconds() / (step + 1)) * (steps - step - 1);
    const line = `step ${step + 1}/${steps} · loss ${trainLoss.toFixed(3)}`;
    process.stderr.write(`${line} · ${seconds().toFixed(0)} s, ${left.toFixed(0)} s left\n`);
  }
}
const trainSeconds = seconds();
const evaluator = await createEvaluator(graph);
const { loss } = await evaluator.evaluate(trainer.weights, Int32Array.from(validation));
const result = {
  tokens: steps * sequences * contextLength,
  tokensPerStep: sequences * contextLength,
  learningRate: recipe.learningRate,
  adamLearningRate: recipe.adamLearningRate,
  weightDecay: recipe.weightDecay,
  seed: run.seed,
  valLoss: loss,
  tokensPerSecond: Math.round((steps * sequences * contextLength) / trainSeconds),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
