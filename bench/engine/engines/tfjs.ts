// TensorFlow.js with its WASM backend, as an engine of the benchmark: a Llama by its operations,
// gradients by its autodiff. Installed by engines.ts; in Node it has one thread.
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import type { LlamaConfig } from "@manyhands/engine/model/config";
import { parameterPlaces } from "@manyhands/engine/model/config";
import type { Job } from "../models.ts";
import { bytesOf, serve } from "./serve.ts";

// The library has types of its own, but is not a dependency of ours: what is used of it, in short.
type Tensor = {
  readonly shape: number[];
  dataSync(): Float32Array;
  dispose(): void;
} & { readonly [operation: string]: (...args: unknown[]) => Tensor };
type Variable = Tensor & { assign(value: Tensor): void };
type Tf = {
  readonly version: { readonly tfjs: string };
  setBackend(name: string): Promise<boolean>;
  tidy<T>(work: () => T): T;
  variable(value: Tensor): Variable;
  tensor(data: Float32Array | Int32Array, shape: readonly number[], type?: string): Tensor;
  variableGrads(
    loss: () => Tensor,
    variables: readonly Variable[],
  ): { readonly value: Tensor; readonly grads: Readonly<Record<string, Tensor>> };
  concat(parts: readonly Tensor[], axis: number): Tensor;
  oneHot(ids: Tensor, depth: number): Tensor;
  softmax(x: Tensor): Tensor;
  logSoftmax(x: Tensor): Tensor;
  scalar(value: number): Tensor;
} & { readonly [operation: string]: (...args: unknown[]) => Tensor };

const require = createRequire(resolve(".cache/bench-engine/package.json"));
const tf = require("@tensorflow/tfjs") as Tf;
const wasm = require("@tensorflow/tfjs-backend-wasm") as { setWasmPaths(folder: string): void };

type State = { readonly variable: Variable; m: Tensor; v: Tensor; readonly decays: boolean };

let job: Job;
let config: LlamaConfig;
let tokens: Int32Array;
let count = 0;
const states = new Map<string, State>();
let tables: { readonly cos: Tensor; readonly sin: Tensor; readonly mask: Tensor };

async function init(given: Job): Promise<string> {
  wasm.setWasmPaths(`${dirname(require.resolve("@tensorflow/tfjs-backend-wasm"))}/`);
  await tf.setBackend("wasm");
  job = given;
  config = given.config as LlamaConfig;
  tokens = new Int32Array(bytesOf(job.tokensFile));
  const flat = new Float32Array(bytesOf(job.weightsFile));
  for (const { name, shape, offset, size } of parameterPlaces(config)) {
    const variable = tf.variable(tf.tensor(flat.slice(offset, offset + size), shape));
    const zeros = (): Tensor => tf.tensor(new Float32Array(size), shape);
    states.set(name, { variable, m: zeros(), v: zeros(), decays: shape.length > 1 });
  }
  tables = ropeAndMask();
  return tf.version.tfjs;
}

function ropeAndMask(): typeof tables {
  const time = job.contextLength;
  const half = config.hiddenSize / config.numAttentionHeads / 2;
  const angles = Float32Array.from({ length: time * half }, (_, i) => {
    return Math.floor(i / half) * config.ropeTheta ** (-(i % half) / half);
  });
  const mask = Float32Array.from({ length: time * time }, (_, i) =>
    i % time > Math.floor(i / time) ? -1e9 : 0,
  );
  return {
    cos: tf.tensor(angles.map(Math.cos), [time, half]),
    sin: tf.tensor(angles.map(Math.sin), [time, half]),
    mask: tf.tensor(mask, [time, time]),
  };
}

function weight(name: string): Tensor {
  const state = states.get(`${name}.weight`);
  if (!state) throw new Error(`no weight ${name}`);
  return state.variable;
}

const call = (x: Tensor, operation: string, ...args: unknown[]): Tensor => {
  const method = tf[operation];
  if (!method) throw new Error(`no operation ${operation}`);
  return method(x, ...args);
};

function norm(x: Tensor, name: string): Tensor {
  const mean = call(call(x, "square"), "mean", -1, true);
  const inverse = call(call(mean, "add", tf.scalar(config.rmsNormEps)), "rsqrt");
  return call(call(x, "mul", inverse), "mul", weight(name));
}

const linear = (x: Tensor, name: string): Tensor => call(x, "matMul", weight(name), false, true);

function rotate(x: Tensor): Tensor {
  const half = (x.shape[3] ?? 0) / 2;
  const [batch, heads, time] = x.shape;
  const first = call(x, "slice", [0, 0, 0, 0], [batch, heads, time, half]);
  const second = call(x, "slice", [0, 0, 0, half], [batch, heads, time, half]);
  const { cos, sin } = tables;
  const low = call(call(first, "mul", cos), "sub", call(second, "mul", sin));
  const high = call(call(second, "mul", cos), "add", call(first, "mul", sin));
  return tf.concat([low, high], 3);
}

function attention(x: Tensor, at: string): Tensor {
  const { sequences: batch, contextLength: time } = job;
  const heads = config.numAttentionHeads;
  const width = config.hiddenSize / heads;
  const byHead = (name: string): Tensor =>
    call(
      call(linear(x, `${at}.${name}_proj`), "reshape", [batch, time, heads, width]),
      "transpose",
      [0, 2, 1, 3],
    );
  const scores = call(rotate(byHead("q")), "matMul", rotate(byHead("k")), false, true);
  const scaled = call(call(scores, "mul", tf.scalar(width ** -0.5)), "add", tables.mask);
  const mixed = call(tf.softmax(scaled), "matMul", byHead("v"));
  const flat = call(call(mixed, "transpose", [0, 2, 1, 3]), "reshape", [
    batch * time,
    heads * width,
  ]);
  return linear(flat, `${at}.o_proj`);
}

function lossOf(ids: Tensor, targets: Tensor): Tensor {
  // As a product with one-hot rows: the backend has no gradient for gather.
  const hot = call(tf.oneHot(ids, config.vocabSize), "cast", "float32");
  let x = call(hot, "matMul", weight("model.embed_tokens"));
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const at = `model.layers.${layer}`;
    x = call(x, "add", attention(norm(x, `${at}.input_layernorm`), `${at}.self_attn`));
    const normed = norm(x, `${at}.post_attention_layernorm`);
    const gate = linear(normed, `${at}.mlp.gate_proj`);
    const hidden = call(
      call(gate, "mul", call(gate, "sigmoid")),
      "mul",
      linear(normed, `${at}.mlp.up_proj`),
    );
    x = call(x, "add", linear(hidden, `${at}.mlp.down_proj`));
  }
  const logs = tf.logSoftmax(linear(norm(x, "model.norm"), "lm_head"));
  const picked = call(logs, "mul", call(tf.oneHot(targets, config.vocabSize), "cast", "float32"));
  return call(call(picked, "sum"), "mul", tf.scalar(-1 / (ids.shape[0] ?? 1)));
}

/** B × (T + 1) ids as T inputs and their T next tokens. */
function nextBatch(): { readonly ids: Tensor; readonly targets: Tensor } {
  const row = job.contextLength + 1;
  const size = job.sequences * row;
  const start = (count * size) % tokens.length;
  count += 1;
  const batch = tokens.slice(start, start + size);
  const length = job.sequences * job.contextLength;
  const ids = tf.tensor(
    batch.filter((_, i) => i % row !== row - 1),
    [length],
    "int32",
  );
  return {
    ids,
    targets: tf.tensor(
      batch.filter((_, i) => i % row !== 0),
      [length],
      "int32",
    ),
  };
}

async function step(): Promise<number> {
  const { ids, targets } = nextBatch();
  const loss = tf.tidy(() => {
    const variables = [...states.values()].map(({ variable }) => variable);
    const { value, grads } = tf.variableGrads(() => lossOf(ids, targets), variables);
    update(Object.values(grads));
    return value.dataSync()[0] ?? Number.NaN;
  });
  ids.dispose();
  targets.dispose();
  return loss;
}

function update(slopes: readonly Tensor[]): void {
  const { adamw, gradientNormMax } = job.optimizer;
  const squares = slopes.map((slope) => call(call(slope, "square"), "sum").dataSync()[0] ?? 0);
  const norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
  const clip = tf.scalar(Math.min(1, gradientNormMax / norm));
  const number = (value: number): Tensor => tf.scalar(value);
  [...states.values()].forEach((state, index) => {
    const slope = call(slopes[index] as Tensor, "mul", clip);
    const blend = (old: Tensor, fresh: Tensor, beta: number): Tensor =>
      call(call(old, "mul", number(beta)), "add", call(fresh, "mul", number(1 - beta)));
    const m = blend(state.m, slope, adamw.beta1);
    const v = blend(state.v, call(slope, "square"), adamw.beta2);
    const root = call(call(v, "sqrt"), "mul", number(1 / Math.sqrt(1 - adamw.beta2 ** count)));
    const rate = adamw.learningRate / (1 - adamw.beta1 ** count);
    const change = call(call(m, "mul", number(rate)), "div", call(root, "add", number(adamw.eps)));
    const keep = state.decays ? 1 - adamw.learningRate * adamw.weightDecay : 1;
    state.variable.assign(call(call(state.variable, "mul", number(keep)), "sub", change));
    state.m.dispose();
    state.v.dispose();
    state.m = call(m, "clone");
    state.v = call(v, "clone");
    keepTensor(state.m);
    keepTensor(state.v);
  });
}

function keepTensor(x: Tensor): void {
  call(x, "keep");
}

await serve({ init, step });
process.exit(0);
