// The head of a frozen model in pieces of the vocabulary: loss and gradient in one pass over its
// rows, with the logits of one piece at a time. It deliberately runs nothing.
// @source the running maximum of Milakov and Gimelshein 2018, "Online normalizer calculation for
//         softmax", carried to the gradient as in Dao et al. 2022, "FlashAttention"
import { gradients } from "../autodiff/gradients.ts";
import * as ir from "../ir/ops.ts";
import { type Graph, graphOf, type Tensor } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import { linear, MASKED } from "../model/layers.ts";
import type { BaseKind } from "../quantize/kinds.ts";
import { type AdapterSetup, storedTensor, weightsOf } from "./adapter-graphs.ts";

/** Logits of a piece, and its rows in float32, have this many numbers or fewer. */
const PIECE_FLOATS = 4 << 20;

/** Sizes of the vocabulary's pieces: all the first's, but for the last, which may be smaller. */
export function headPieces(vocabulary: number, rows: number, width: number): readonly number[] {
  const most = Math.max(1, Math.floor(PIECE_FLOATS / Math.max(rows, width)));
  const size = Math.ceil(vocabulary / Math.ceil(vocabulary / most));
  const count = Math.ceil(vocabulary / size);
  return Array.from({ length: count }, (_, i) => Math.min(size, vocabulary - i * size));
}

/** The maximum before the first piece: below every logit, and e^(this − m) is exactly 0. */
export const MAXIMUM_START = MASKED;

function rowsOf({ model, batch }: AdapterSetup): readonly [number, number] {
  return [batch.sequences * batch.contextLength, decoderOf(model).hiddenSize];
}

/** x [N, C] → what the head multiplies, y [N, C]. */
export function normedGraph(setup: AdapterSetup): Graph {
  const x = ir.input("x", rowsOf(setup));
  return graphOf({ y: decoderOf(setup.model).normed(weightsOf(setup, ""), x) });
}

/**
 * One piece's rows w [Vₚ, C] into what all pieces before it gave, with z = x · wᵀ:
 * m' = max(m, max z); s' = s e^(m − m') + Σ e^(z − m'); o' = o e^(m − m') + e^(z − m') · w.
 * After the last piece the logarithm of the sum is m + ln s, and its gradient at x is o / s.
 *
 * @param slopes whether o is wanted: it costs a second product
 */
export function pieceGraph(
  setup: AdapterSetup,
  piece: { readonly size: number; readonly kind: BaseKind },
  slopes: boolean,
): Graph {
  const [count, width] = rowsOf(setup);
  const x = ir.input("x", [count, width]);
  const w = storedTensor("w", [piece.size, width], piece.kind);
  const [m, s] = [ir.input("m", [count, 1]), ir.input("s", [count, 1])];
  const z = linear(x, w);
  const most = larger(m, ir.reduceMax(z, [-1], { keepDims: true }));
  const e = ir.exp(ir.sub(z, most));
  const shrunk = ir.exp(ir.sub(m, most));
  const sum = ir.add(ir.mul(s, shrunk), ir.reduceSum(e, [-1], { keepDims: true }));
  if (!slopes) return graphOf({ "next m": most, "next s": sum });
  const o = ir.input("o", [count, width]);
  const mixed = ir.add(ir.mul(o, shrunk), ir.matmul(e, w));
  return graphOf({ "next m": most, "next s": sum, "next o": mixed });
}

function larger(a: Tensor, b: Tensor): Tensor {
  return ir.where(ir.less(a, b), b, a);
}

/**
 * loss = Σ share · (m + ln s − x · w[target]), and with slopes its gradient dx before the norm.
 *
 * | input   |                                                              |
 * | ------- | ------------------------------------------------------------ |
 * | x       | [N, C], before the norm                                      |
 * | m, s, o | after the last piece                                         |
 * | rows    | [N, C], w[target], or anything where nothing is counted      |
 * | share   | [N, 1], what a token's loss counts; 0 where it is not counted |
 */
export function lossGraph(setup: AdapterSetup, slopes: boolean): Graph {
  const [count, width] = rowsOf(setup);
  const [x, rows] = [ir.input("x", [count, width]), ir.input("rows", [count, width])];
  const column = (name: string): Tensor => ir.input(name, [count, 1]);
  const [m, s, share] = [column("m"), column("s"), column("share")];
  const normed = decoderOf(setup.model).normed(weightsOf(setup, ""), x);
  const picked = ir.reduceSum(ir.mul(normed, rows), [-1], { keepDims: true });
  const losses = ir.sub(ir.add(m, ir.log(s)), picked);
  if (!slopes) return graphOf({ loss: total(losses, share) });
  const o = ir.input("o", [count, width]);
  const taught = ir.withGradient(losses, [normed], (dy) => [
    ir.mul(ir.sub(ir.div(o, s), rows), dy),
  ]);
  const loss = total(taught, share);
  const [dx = loss] = gradients(loss, [x]);
  return graphOf({ loss, dx });
}

function total(losses: Tensor, share: Tensor): Tensor {
  return ir.reshape(ir.reduceSum(ir.mul(losses, share), [0, 1]), [1]);
}
