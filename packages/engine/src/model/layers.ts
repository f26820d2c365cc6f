// The layers that a decoder is made of, each with the cheapest gradient that we know for it, as IR.
// They deliberately hold no weights.
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";
import type { RopeScaling } from "./config.ts";
import { cosSin, root } from "./exact-angles.ts";

/** Below every score, yet finite: e^(x − max) is exactly 0 for it, and no NaN can arise. */
export const MASKED = -1e30;

/** x · sigmoid(x), whose gradient is dy (s + y − y s). */
export function silu(x: Tensor): Tensor {
  const s = ir.sigmoid(x);
  const y = ir.mul(x, s);
  return ir.withGradient(y, [x], (dy) => [ir.mul(dy, ir.add(s, ir.sub(y, ir.mul(y, s))))]);
}

const GELU_LINEAR = 2 * Math.sqrt(2 / Math.PI);
const GELU_CUBIC = 0.044715 * GELU_LINEAR;

/**
 * GELU by tanh: x · ½ (1 + tanh(√(2/π) (x + 0.044715 x³))) = x · s with s = sigmoid(a x + b x³),
 * since ½ (1 + tanh u) = sigmoid(2u). Its gradient is dy (s + y (1 − s) (a + 3 b x²)).
 *
 * @source Hendrycks and Gimpel 2016, "Gaussian error linear units"
 */
export function gelu(x: Tensor): Tensor {
  const squares = ir.mul(x, x);
  const cubic = ir.add(ir.mul(squares, ir.scalar(GELU_CUBIC)), ir.scalar(GELU_LINEAR));
  const s = ir.sigmoid(ir.mul(x, cubic));
  const y = ir.mul(x, s);
  return ir.withGradient(y, [x], (dy) => {
    const slope = ir.add(ir.mul(squares, ir.scalar(3 * GELU_CUBIC)), ir.scalar(GELU_LINEAR));
    return [ir.mul(dy, ir.add(s, ir.mul(ir.sub(y, ir.mul(y, s)), slope)))];
  });
}

/** max(x, 0)², whose gradient is 2 max(x, 0) dy. */
export function reluSquared(x: Tensor): Tensor {
  const positive = ir.where(ir.less(x, ir.scalar(0)), ir.scalar(0), x);
  return ir.withGradient(ir.mul(positive, positive), [x], (dy) => [
    ir.mul(dy, ir.mul(positive, ir.scalar(2))),
  ]);
}

/** x · wᵀ with w [out, in], as Hugging Face stores it: x [N, in] → [N, out]. */
export function linear(x: Tensor, weight: Tensor): Tensor {
  return ir.matmul(x, weight, { transposeB: true });
}

export type KeyValue = { readonly key: Tensor; readonly value: Tensor };

type Masked = { readonly mask: Tensor; readonly scale: number };

/**
 * softmax(scale · q kᵀ + mask) v. The gradient uses Σ dp·p = Σ do·o, which is D wide instead of T
 * wide.
 *
 * @param q    [B, G, Tq, D], and mask broadcasts to [B, G, Tq, Tk]
 * @param k    [B, G, Tk, D], and v alike
 */
function attention(q: Tensor, k: Tensor, v: Tensor, { mask, scale }: Masked): Tensor {
  const scores = ir.matmul(q, k, { transposeB: true, scale });
  const p = ir.softmax(ir.add(scores, mask));
  const o = ir.matmul(p, v);
  return ir.withGradient(o, [q, k, v], (dy) => {
    const dp = ir.matmul(dy, v, { transposeB: true });
    const shift = ir.reduceSum(ir.mul(dy, o), [-1], { keepDims: true });
    const ds = ir.mul(p, ir.sub(dp, shift));
    const dq = ir.matmul(ds, k, { scale });
    const dk = ir.matmul(ds, q, { transposeA: true, scale });
    return [dq, dk, ir.matmul(p, dy, { transposeA: true })];
  });
}

/**
 * As attention, for one token whose predecessors' keys and values are cached. They stay where they
 * are: putting the token's own beside them would copy them all, for every token.
 *
 * @param q    [B, KV, G, D]
 * @param past of S places [B, KV, S, D], and mask [1, S] says which of them are filled
 * @param own  of the token itself [B, KV, 1, D]
 */
export function cachedAttention(q: Tensor, past: KeyValue & Masked, own: KeyValue): Tensor {
  const { mask, scale } = past;
  const places = past.key.shape[2] ?? 0;
  const before = ir.add(ir.matmul(q, past.key, { transposeB: true, scale }), mask);
  const itself = ir.matmul(q, own.key, { transposeB: true, scale });
  const p = ir.softmax(ir.concat([before, itself], 3));
  const mixed = ir.matmul(ir.slice(p, 3, 0, places), past.value);
  return ir.add(mixed, ir.mul(ir.slice(p, 3, places, places + 1), own.value));
}

/** Windows of this length or longer are cut in blocks of queries. */
const BLOCKED_TIME_MIN = 64;
const BLOCKS = 2;

export type CausalOptions = {
  /** What scores are multiplied by. Default: 1/√D. */
  readonly scale?: number;
  /** How many places a query sees, its own included. Default: all up to its own. */
  readonly window?: number | undefined;
};

/**
 * Attention in which a query sees its own place and those before, or a window of them. The queries
 * are cut in blocks, each with no more keys than it may see: two blocks save a quarter of the
 * products, and half of the masked scores, on which softmax is slowest.
 *
 * @param q [B, KV, G, T, D]: G heads share a key
 * @param k [B, KV, T, D], and v alike
 */
export function causalAttention(
  q: Tensor,
  { key, value }: KeyValue,
  options: CausalOptions = {},
): Tensor {
  const [batch = 1, keyHeads = 1, group = 1, time = 1, width = 1] = q.shape;
  const { scale = 1 / Math.sqrt(width), window = time } = options;
  const blocks = time >= BLOCKED_TIME_MIN && time % BLOCKS === 0 ? BLOCKS : 1;
  const rows = time / blocks;
  const parts = Array.from({ length: blocks }, (_, block) => {
    const [start, end] = [block * rows, (block + 1) * rows];
    const first = Math.max(0, start - window + 1);
    const own = ir.reshape(ir.slice(q, 3, start, end), [batch, keyHeads, group * rows, width]);
    const mask = causalMask(group, { start, end, first, window });
    const [k, v] = [ir.slice(key, 2, first, end), ir.slice(value, 2, first, end)];
    const mixed = attention(own, k, v, { mask, scale });
    return ir.reshape(mixed, [batch, keyHeads, group, rows, width]);
  });
  return ir.concat(parts, 3);
}

type Span = {
  readonly start: number;
  readonly end: number;
  readonly first: number;
  readonly window: number;
};

/**
 * [G (end − start), end − first], for queries start … end − 1, G times, and keys first … end − 1: 0
 * where one may look.
 */
function causalMask(group: number, { start, end, first, window }: Span): Tensor {
  const [rows, columns] = [end - start, end - first];
  const mask = new Float32Array(group * rows * columns);
  for (let row = 0; row < group * rows; row++) {
    const place = start + (row % rows);
    mask.fill(MASKED, row * columns + place - first + 1, (row + 1) * columns);
    const hidden = Math.max(0, place - window + 1 - first);
    mask.fill(MASKED, row * columns, row * columns + hidden);
  }
  return ir.constant(mask, [group * rows, columns]);
}

/**
 * Cross-entropy of each row, in nats: log Σ e^z − z[target]. Its gradient is softmax(z) −
 * onehot(target).
 *
 * @param logits  [N, V]
 * @param targets [N], i32
 * @returns       [N, 1]
 */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  const shifted = ir.sub(logits, ir.reduceMax(logits, [-1], { keepDims: true }));
  const e = ir.exp(shifted);
  const sum = ir.reduceSum(e, [-1], { keepDims: true });
  const hot = ir.oneHot(targets, logits.shape[1] ?? 1);
  const picked = ir.reduceSum(ir.mul(shifted, hot), [-1], { keepDims: true });
  const losses = ir.sub(ir.log(sum), picked);
  return ir.withGradient(losses, [logits], (dy) => {
    const softmax = ir.mul(e, ir.div(dy, sum));
    return [ir.sub(softmax, ir.mul(hot, dy))];
  });
}

export type RopeBase = { readonly theta: number; readonly scaling?: RopeScaling | undefined };

/**
 * cos and sin of position × frequency, with frequencies θ^(−2i/D), perhaps scaled, for positions
 * first … first + time − 1: two [time, D/2]. The same bits on every peer.
 */
export function ropeTables(
  width: number,
  base: RopeBase,
  span: { readonly first: number; readonly time: number },
): { readonly cos: Float32Array; readonly sin: Float32Array } {
  const half = width / 2;
  const cos = new Float32Array(span.time * half);
  const sin = new Float32Array(span.time * half);
  const ratio = root(base.theta, half);
  let frequency = 1;
  for (let i = 0; i < half; i++) {
    const scaled = scaledFrequency(frequency, base.scaling);
    for (let t = 0; t < span.time; t++) {
      const angle = cosSin((span.first + t) * scaled);
      cos[t * half + i] = angle.cos;
      sin[t * half + i] = angle.sin;
    }
    frequency /= ratio;
  }
  return { cos, sin };
}

const TURN = 6.283185307179586;

/**
 * A frequency for a longer context. Linear: f / factor. Llama 3: waves that fit lowFreqFactor times
 * or less into the original context are stretched by the factor, those that fit highFreqFactor
 * times or more are left alone, and between them the two are mixed.
 *
 * @source Meta's Llama 3.1 reference; Hugging Face calls it "llama3"
 */
function scaledFrequency(frequency: number, scaling: RopeScaling | undefined): number {
  if (scaling === undefined) return frequency;
  const stretched = frequency / scaling.factor;
  if (scaling.ropeType === "linear") return stretched;
  const { lowFreqFactor: low, highFreqFactor: high } = scaling;
  const waves = (scaling.originalMaxPositionEmbeddings * frequency) / TURN;
  if (waves < low) return stretched;
  if (waves > high) return frequency;
  const share = (waves - low) / (high - low);
  return (1 - share) * stretched + share * frequency;
}
