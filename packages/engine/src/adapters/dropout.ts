// Dropout that can be computed again: which inputs a step leaves out is a function of a few drawn
// integers per row and column, mixed within the graph. It deliberately keeps no masks.
import { philox } from "@manyhands/base/random";
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";

/** x [N, in] as a module's adapters see it. */
export type Dropout = (x: Tensor, module: string) => Tensor;

const WORDS = 2 ** 32;
const WORD_MIN = -(2 ** 31);

/** What the names of dropout's inputs start with. */
export const DROPOUT_PREFIX = "dropout ";

/**
 * x / (1 − p) where (rₐ + cₐ)(r_b + c_b) mod 2³², as a signed integer, is below a bound that a
 * share 1 − p of all integers is below; else 0. The integers are inputs: [N, 1] and [1, in], i32.
 */
export function hashedDropout(share: number): Dropout {
  return (x, module) => {
    const [rows = 1, width = 1] = x.shape;
    const drawn = (name: string, shape: readonly number[]): Tensor =>
      ir.input(`${DROPOUT_PREFIX}${name} ${module}`, shape, "i32");
    const sum = (list: "a" | "b"): Tensor =>
      ir.add(drawn(`row ${list}`, [rows, 1]), drawn(`column ${list}`, [1, width]));
    const mixed = ir.mul(sum("a"), sum("b"));
    const bound = Math.floor(WORD_MIN + (1 - share) * WORDS);
    const kept = ir.cast(ir.less(mixed, ir.constant(Int32Array.of(bound), [])), "f32");
    return ir.mul(x, ir.mul(kept, ir.scalar(1 / (1 - share))));
  };
}

export type DropoutDraw = {
  readonly seed: number;
  readonly step: number;
  /** The micro-batch of the step. */
  readonly part: number;
  /** Which of the model's lists of integers this is. */
  readonly list: number;
};

/** Draws one list of integers. */
export function dropoutIntegers(draw: DropoutDraw, into: Int32Array): void {
  const key = [draw.seed >>> 0, Math.floor(draw.seed / WORDS)] as const;
  for (let i = 0; i < into.length; i += 4) {
    const words = philox([i, draw.step, draw.list, draw.part], key);
    for (let j = 0; j < 4 && i + j < into.length; j++) into[i + j] = words[j] as number;
  }
}
