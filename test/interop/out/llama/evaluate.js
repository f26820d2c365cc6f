// What the real llama.cpp makes of GGUF files: tokens of texts, and the log-probability of every
// token of given windows. Plain JavaScript: it runs where node-llama-cpp is installed.
//
// Usage: evaluate.js <jobs.json> <answers.json>   jobs: [{file, texts, whole, windows}]
import { readFileSync, writeFileSync } from "node:fs";
// tidy-ignore undeclared-import: run.sh installs it in a folder of its own, not with the project.
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const [, , jobsPath, answersPath] = process.argv;
const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error });
const answers = [];
for (const job of JSON.parse(readFileSync(jobsPath, "utf8"))) {
  try {
    answers.push(await evaluate(job));
  } catch (error) {
    answers.push({ error: String(error) });
  }
}
writeFileSync(answersPath, JSON.stringify(answers));
await llama.dispose();

async function evaluate({ file, texts, whole, windows }) {
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0, useMmap: false });
  const length = Math.max(...windows.map((window) => window.length));
  const size = { contextSize: length + 8, batchSize: 512 };
  const context = await model.createContext({ ...size, threads: 2 });
  const sequence = context.getSequence();
  const logProbabilities = [];
  for (const window of windows) {
    await sequence.clearHistory();
    logProbabilities.push(await logProbabilitiesOf(sequence, window));
  }
  const tokens = texts.map((text) => [...model.tokenize(text, false)]);
  const { bos, shouldPrependBosToken } = model.tokens;
  const own = [...model.tokenize(whole, false)];
  const answer = { logProbabilities, tokens, whole: shouldPrependBosToken ? [bos, ...own] : own };
  await context.dispose();
  await model.dispose();
  return answer;
}

/** log p of tokens 1 … n − 1, each given those before it: softmax of the raw logits. */
async function logProbabilitiesOf(sequence, window) {
  const items = window.map((token, i) =>
    i + 1 < window.length ? [token, { generateNext: { logits: true } }] : token,
  );
  const outputs = await sequence.controlledEvaluate(items);
  return outputs.slice(0, window.length - 1).map((output, i) => {
    const { logits } = output.next;
    const values = [...logits.values()];
    const most = Math.max(...values);
    const sum = values.reduce((total, value) => total + Math.exp(value - most), 0);
    return logits.get(window[i + 1]) - most - Math.log(sum);
  });
}
