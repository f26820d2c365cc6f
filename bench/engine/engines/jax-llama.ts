// A Llama's training step in jax-js: its operations, gradients by its valueAndGrad, compiled by its
// jit. It deliberately knows neither Node nor a page: both give it the library and the numbers.
import { type LlamaConfig, parameterPlaces } from "@manyhands/engine/model/config";
import type { Job } from "../models.ts";

// The library has types of its own, but is not a dependency of ours: what is used of it, in short.
// Every use of an array consumes it; .ref keeps it for one more.
type Arr = {
  readonly ref: Arr;
  readonly shape: number[];
  data(): Promise<Float32Array>;
  dispose(): void;
} & {
  readonly [operation: string]: (...args: unknown[]) => Arr;
};
type Numpy = { readonly [operation: string]: (...args: unknown[]) => Arr };
type Weights = Record<string, Arr>;
export type Jax = {
  readonly numpy: Numpy;
  readonly nn: Numpy;
  init(device: string): Promise<unknown>;
  defaultDevice(device: string): unknown;
  valueAndGrad(
    f: (weights: Weights, ids: Arr, targets: Arr) => Arr,
  ): (weights: Weights, ids: Arr, targets: Arr) => [Arr, Weights];
  jit<F>(f: F): F;
};
type State = { weights: Weights; m: Weights; v: Weights };

let job: Job;
let config: LlamaConfig;
let jax: Jax;
let np: Numpy;
let tokens: Int32Array;
let state: State;
let count = 0;
let constants: { cos: Float32Array; sin: Float32Array; mask: Float32Array };
let compiled: (state: State, ids: Arr, targets: Arr, scalars: Arr) => [Arr, State];

/** @param numbers the initial weights and the tokens of all batches */
export async function initJax(
  library: Jax,
  given: Job,
  numbers: { readonly weights: Float32Array; readonly tokens: Int32Array },
): Promise<void> {
  job = given;
  config = given.config as LlamaConfig;
  jax = library;
  np = jax.numpy;
  await jax.init("wasm");
  jax.defaultDevice("wasm");
  tokens = numbers.tokens;
  state = { weights: {}, m: {}, v: {} };
  for (const { name, shape, offset, size } of parameterPlaces(config)) {
    state.weights[name] = arrayOf(numbers.weights.slice(offset, offset + size), shape);
    state.m[name] = arrayOf(new Float32Array(size), shape);
    state.v[name] = arrayOf(new Float32Array(size), shape);
  }
  constants = tablesOf();
  compiled = jax.jit(trainStep);
}

function call(name: string, ...args: unknown[]): Arr {
  const operation = np[name];
  if (!operation) throw new Error(`no operation ${name}`);
  return operation(...args);
}

function method(x: Arr, name: string, ...args: unknown[]): Arr {
  const operation = x[name];
  if (typeof operation !== "function") throw new Error(`no method ${name}`);
  return operation.apply(x, args);
}

function arrayOf(data: Float32Array | Int32Array, shape: readonly number[]): Arr {
  return method(call("array", data), "reshape", [...shape]);
}

function tablesOf(): typeof constants {
  const time = job.contextLength;
  const half = config.hiddenSize / config.numAttentionHeads / 2;
  const angles = Float32Array.from({ length: time * half }, (_, i) => {
    return Math.floor(i / half) * config.ropeTheta ** (-(i % half) / half);
  });
  const mask = Float32Array.from({ length: time * time }, (_, i) => {
    return i % time > Math.floor(i / time) ? -1e9 : 0;
  });
  return { cos: angles.map(Math.cos), sin: angles.map(Math.sin), mask };
}

const add = (a: Arr, b: Arr | number): Arr => method(a, "add", b);
const mul = (a: Arr, b: Arr | number): Arr => method(a, "mul", b);
const dot = (a: Arr, b: Arr): Arr => call("matmul", a, b);
const turned = (x: Arr, axes: number[]): Arr => call("transpose", x, axes);

function linear(x: Arr, weights: Weights, name: string): Arr {
  return dot(x, turned((weights[`${name}.weight`] as Arr).ref, [1, 0]));
}

function norm(x: Arr, weights: Weights, name: string): Arr {
  const mean = call("mean", call("square", x.ref), -1, { keepdims: true });
  const inverse = call("reciprocal", call("sqrt", add(mean, config.rmsNormEps)));
  return mul(mul(x, inverse), (weights[`${name}.weight`] as Arr).ref);
}

/** [B, H, T, D], whose halves turn by the position's angles. */
function rotate(x: Arr): Arr {
  const half = (x.shape[3] ?? 0) / 2;
  const time = job.contextLength;
  const [first, second] = call("split", x, 2, -1) as unknown as [Arr, Arr];
  const cos = arrayOf(constants.cos, [time, half]);
  const sin = arrayOf(constants.sin, [time, half]);
  const low = method(mul(first.ref, cos.ref), "sub", mul(second.ref, sin.ref));
  const high = add(mul(second, cos), mul(first, sin));
  return call("concatenate", [low, high], -1);
}

function attention(x: Arr, weights: Weights, at: string): Arr {
  const { sequences: batch, contextLength: time } = job;
  const heads = config.numAttentionHeads;
  const width = config.hiddenSize / heads;
  const byHead = (input: Arr, name: string): Arr =>
    turned(
      method(linear(input, weights, `${at}.${name}_proj`), "reshape", [batch, time, heads, width]),
      [0, 2, 1, 3],
    );
  const q = rotate(byHead(x.ref, "q"));
  const k = rotate(byHead(x.ref, "k"));
  const scores = mul(dot(q, turned(k, [0, 1, 3, 2])), width ** -0.5);
  const softmax = jax.nn["softmax"];
  if (!softmax) throw new Error("no softmax");
  const p = softmax(add(scores, arrayOf(constants.mask, [time, time])), -1);
  const mixed = turned(dot(p, byHead(x, "v")), [0, 2, 1, 3]);
  return linear(method(mixed, "reshape", [batch * time, heads * width]), weights, `${at}.o_proj`);
}

function lossOf(weights: Weights, ids: Arr, targets: Arr): Arr {
  const { oneHot, silu, logSoftmax } = jax.nn;
  if (!oneHot || !silu || !logSoftmax) throw new Error("an operation is missing");
  let x = dot(oneHot(ids, config.vocabSize), (weights["model.embed_tokens.weight"] as Arr).ref);
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const at = `model.layers.${layer}`;
    const mixed = attention(
      norm(x.ref, weights, `${at}.input_layernorm`),
      weights,
      `${at}.self_attn`,
    );
    x = add(x, mixed);
    const normed = norm(x.ref, weights, `${at}.post_attention_layernorm`);
    const gate = silu(linear(normed.ref, weights, `${at}.mlp.gate_proj`));
    const hidden = mul(gate, linear(normed, weights, `${at}.mlp.up_proj`));
    x = add(x, linear(hidden, weights, `${at}.mlp.down_proj`));
  }
  const logs = logSoftmax(linear(norm(x, weights, "model.norm"), weights, "lm_head"), -1);
  const picked = mul(logs, oneHot(targets, config.vocabSize));
  // Weights were used by reference: what came in is let go here.
  for (const weight of Object.values(weights)) weight.dispose();
  return mul(call("sum", picked), -1 / (job.sequences * job.contextLength));
}

/** scalars: the rate over its correction, the second moment's root factor. */
function trainStep(before: State, ids: Arr, targets: Arr, scalars: Arr): [Arr, State] {
  const { adamw, gradientNormMax } = job.optimizer;
  const kept: Weights = {};
  for (const [name, weight] of Object.entries(before.weights)) kept[name] = weight.ref;
  const [loss, slopes] = jax.valueAndGrad(lossOf)(kept, ids, targets);
  let squares: Arr | undefined;
  for (const slope of Object.values(slopes)) {
    const own = call("sum", call("square", slope.ref));
    squares = squares ? add(squares, own) : own;
  }
  const norm = call("sqrt", squares);
  const clip = call("minimum", call("divide", gradientNormMax, norm), 1);
  const [rate, rootFactor] = call("split", scalars, 2) as unknown as [Arr, Arr];
  const after: State = { weights: {}, m: {}, v: {} };
  for (const [name, slope] of Object.entries(slopes)) {
    const g = mul(slope, clip.ref);
    const m = add(mul(before.m[name] as Arr, adamw.beta1), mul(g.ref, 1 - adamw.beta1));
    const v = add(mul(before.v[name] as Arr, adamw.beta2), mul(call("square", g), 1 - adamw.beta2));
    const root = add(mul(call("sqrt", v.ref), rootFactor.ref), adamw.eps);
    const change = method(mul(m.ref, rate.ref), "div", root);
    const theta = before.weights[name] as Arr;
    const keep = theta.shape.length > 1 ? 1 - adamw.learningRate * adamw.weightDecay : 1;
    after.weights[name] = method(mul(theta, keep), "sub", change);
    after.m[name] = m;
    after.v[name] = v;
  }
  clip.dispose();
  rate.dispose();
  rootFactor.dispose();
  return [loss, after];
}

/** One step on the next batch. @returns its loss before the update */
export async function stepJax(): Promise<number> {
  const row = job.contextLength + 1;
  const size = job.sequences * row;
  const start = (count * size) % tokens.length;
  count += 1;
  const batch = tokens.slice(start, start + size);
  const { learningRate, beta1, beta2 } = job.optimizer.adamw;
  const scalars = Float32Array.of(
    learningRate / (1 - beta1 ** count),
    1 / Math.sqrt(1 - beta2 ** count),
  );
  const length = job.sequences * job.contextLength;
  const ids = arrayOf(
    batch.filter((_, i) => i % row !== row - 1),
    [length],
  );
  const targets = arrayOf(
    batch.filter((_, i) => i % row !== 0),
    [length],
  );
  const [loss, after] = compiled(state, ids, targets, arrayOf(scalars, [2]));
  state = after;
  const [value = Number.NaN] = await loss.data();
  // Only the loss is waited for so far: the update belongs to the step.
  const last = state.weights["lm_head.weight"] as Arr;
  await method(last.ref, "blockUntilReady");
  return value;
}
