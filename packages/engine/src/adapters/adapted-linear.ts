// A block's matrix products with frozen, perhaps packed matrices, and low-rank products beside
// them, as IR. It deliberately feeds nothing: adapter-graphs.ts in train names what is fed.
import * as ir from "../ir/ops.ts";
import type { Tensor } from "../ir/tensor.ts";
import type { Linear, LinearModule } from "../model/decoder.ts";
import { linear } from "../model/layers.ts";
import { type AdapterConfig, adapterScale } from "./config.ts";
import type { Dropout } from "./dropout.ts";

/** The trainable tensors of one module, by its name within the block, and what DoRA needs of W. */
export type AdapterTensors = {
  /** [r, in] */
  readonly a: Tensor;
  /** [out, r] */
  readonly b: Tensor;
  /** DoRA: magnitudes [out], and Σ w² of each output of the base [out]. */
  readonly dora?: { readonly magnitude: Tensor; readonly squares: Tensor };
};

export type AdaptedOptions = {
  readonly adapter: AdapterConfig;
  /** By a module's name within the block; undefined where it has no adapter. */
  readonly tensors: (module: string) => AdapterTensors | undefined;
  /** What adapters see of x, in training. */
  readonly dropout: Dropout | undefined;
  /** Whether a module's weights are made ternary already, so that nothing makes them so again. */
  readonly isTernary: (module: string) => boolean;
};

/** How a decoder multiplies with this base and these adapters: q, k and v each by itself. */
export function adaptedLinear(options: AdaptedOptions): Linear {
  return (x, module) => {
    const seen = module.activation ? module.activation(x) : x;
    const dropped = options.dropout?.(x, module.name) ?? x;
    const columns = module.parts.map(({ name }) =>
      part({ options, module, name, seen, raw: x, dropped }),
    );
    return ir.concat(columns, 1);
  };
}

type Part = {
  readonly options: AdaptedOptions;
  readonly module: LinearModule;
  readonly name: string;
  /** What the base multiplies, x itself, and x after dropout. */
  readonly seen: Tensor;
  readonly raw: Tensor;
  readonly dropped: Tensor;
};

function part(own: Part): Tensor {
  const { options, module, name, seen } = own;
  const product = baseProduct(options, module, name);
  const bias = module.bias ? module.weight(`${name}.bias`) : undefined;
  const biased = (y: Tensor): Tensor => (bias ? ir.add(y, bias) : y);
  const tensors = options.tensors(name);
  if (!tensors) return biased(product(seen));
  const low = linear(own.dropped, tensors.a);
  const scale = adapterScale(options.adapter);
  const delta = ir.matmul(low, tensors.b, { transposeB: true, scale });
  if (!tensors.dora) return biased(ir.add(product(seen), delta));
  const factor = doraFactor(options.adapter, tensors, product);
  // As PEFT: with dropout the base's share of the change is of what is left of x, too.
  if (own.dropped === own.raw) {
    return biased(ir.mul(ir.add(product(seen), delta), factor));
  }
  const change = ir.mul(product(own.dropped), ir.sub(factor, ir.scalar(1)));
  return biased(ir.add(ir.add(product(seen), change), ir.mul(delta, factor)));
}

/** x [N, in] → x · W [N, out] with a part's own matrix. */
function baseProduct(
  options: AdaptedOptions,
  module: LinearModule,
  name: string,
): (x: Tensor) => Tensor {
  const stored = module.weight(`${name}.weight`);
  const changes = module.quantize && !options.isTernary(name);
  const matrix = changes && module.quantize ? module.quantize(stored) : stored;
  return (x) => (module.inputMajor ? ir.matmul(x, matrix) : linear(x, matrix));
}

/**
 * m / ‖W + s B A‖ for each output. The norm is a number to its gradient, as in PEFT. It is computed
 * without the sum of the matrices: ‖w‖² + 2 s w·(A ᵀb) + s² bᵀ (A Aᵀ) b.
 */
function doraFactor(
  adapter: AdapterConfig,
  { a, b, dora }: AdapterTensors,
  product: (x: Tensor) => Tensor,
): Tensor {
  const scale = adapterScale(adapter);
  const { magnitude, squares } = dora ?? { magnitude: b, squares: b };
  const mixed = ir.reduceSum(ir.mul(ir.transpose(product(a), [1, 0]), b), [1]);
  const gram = ir.matmul(a, a, { transposeB: true });
  const own = ir.reduceSum(ir.mul(ir.matmul(b, gram), b), [1]);
  const sum = ir.add(
    ir.add(squares, ir.mul(mixed, ir.scalar(2 * scale))),
    ir.mul(own, ir.scalar(scale * scale)),
  );
  return ir.div(magnitude, ir.stopGradient(ir.sqrt(sum)));
}
