// The contract of packed matrices: every way in which weights are stored, unpacked and multiplied,
// forward and back, against plain loops. It deliberately knows no test runner.
import { assert } from "@manyhands/base/assert";
import { Random } from "@manyhands/base/random";
import { gradients } from "../autodiff/gradients.ts";
import * as ir from "../ir/ops.ts";
import { graphOf, type PackedFormat } from "../ir/tensor.ts";
import { packWeights } from "../quantize/formats.ts";
import { scalesName, storedTensor } from "../train/adapter-graphs.ts";
import { relativeDistance } from "../vectors.ts";
import { reference } from "./reference.ts";
import type { Runtime } from "./runtime.ts";

const FORMATS: readonly PackedFormat[] = ["f16", "q8", "q4", "nf4", "ternary"];
const [ROWS, OUT, IN] = [5, 24, 64];

function noise(length: number, stream: number): Float32Array {
  const random = new Random(11, stream);
  return Float32Array.from({ length }, () => random.unit() - 0.5);
}

type PackedCheck = { readonly title: string; readonly run: (runtime: Runtime) => Promise<void> };

/** Unpacking is exact; a product alone, and a product with its way back, are those of float64. */
export const PACKED_CHECKS: readonly PackedCheck[] = FORMATS.map((format) => ({
  title: `${format}: unpacked to the bit, multiplied forward and back`,
  run: (runtime) => checkFormat(runtime, format),
}));

async function checkFormat(runtime: Runtime, format: PackedFormat): Promise<void> {
  const w = storedTensor("w", [OUT, IN], format);
  const [x, dy] = [ir.input("x", [ROWS, IN]), ir.input("dy", [ROWS, OUT])];
  const y = ir.matmul(x, w, { transposeB: true });
  const [dx = y] = gradients(ir.reduceSum(ir.mul(y, dy), [0, 1]), [x]);
  const own = packWeights(format, noise(OUT * IN, 0));
  const stored = { w: own.packed, [scalesName("w")]: own.scales };
  const feeds = { ...stored, x: noise(ROWS * IN, 1), dy: noise(ROWS * OUT, 2) };
  // The product alone may be one operator with the unpacking; beside its gradient it is two.
  for (const [name, graph] of Object.entries({
    unpacked: graphOf({ plain: ir.mul(w, ir.scalar(1)) }),
    product: graphOf({ y }),
    both: graphOf({ y, dx }),
  })) {
    const [mine, theirs] = [await runtime.compile(graph), await reference.compile(graph)];
    const [found, expected] = [await mine.run(feeds), await theirs.run(feeds)];
    for (const output of graph.outputs.keys()) {
      const off = relativeDistance(found[output] ?? [], expected[output] ?? []);
      assert(
        off <= (name === "unpacked" ? 0 : 1e-6),
        `${format}: ${name} ${output} is off by ${off}`,
      );
    }
    await mine.dispose();
  }
}
