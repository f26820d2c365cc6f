// Which nodes of a graph become one operator: sums with a matrix product that nobody else reads.
// It deliberately only finds them; lower.ts emits them.
import { type Shape, sameShape, type Tensor } from "../ir/tensor.ts";

/**
 * From each sum a · b + c to its product: one operator then reads c and adds the product to it,
 * which saves writing the product and reading it again.
 *
 * @param order   every node, inputs before users
 * @param outputs nodes that must keep a value of their own
 */
export function productSums(
  order: readonly Tensor[],
  outputs: Iterable<Tensor>,
): ReadonlyMap<Tensor, Tensor> {
  const uses = new Map<Tensor, number>();
  for (const x of [...order.flatMap((node) => node.inputs), ...outputs]) {
    uses.set(x, (uses.get(x) ?? 0) + 1);
  }
  const sums = new Map<Tensor, Tensor>();
  for (const node of order) {
    const [a, b] = node.inputs;
    if (node.op.kind !== "add" || a === undefined || b === undefined) continue;
    const fits = (product: Tensor, other: Tensor): boolean =>
      isMatrixProduct(product) && uses.get(product) === 1 && adds(other.shape, node.shape);
    // The later product is absorbed, so that the earlier one's memory becomes the sum's.
    if (fits(b, a) && sameShape(b.shape, node.shape)) sums.set(node, b);
    else if (fits(a, b) && sameShape(a.shape, node.shape)) sums.set(node, a);
  }
  return sums;
}

/**
 * From each product x · Wᵀ with a packed W to that W, if products are all that reads it: one
 * operator then unpacks as it multiplies. A W that is read otherwise too is unpacked once for all.
 */
export function packedProducts(
  order: readonly Tensor[],
  outputs: Iterable<Tensor>,
): ReadonlyMap<Tensor, Tensor> {
  const readers = new Map<Tensor, Tensor[]>();
  const kept = new Set(outputs);
  for (const node of order) {
    for (const x of new Set(node.inputs)) {
      if (x.op.kind === "dequantize") readers.set(x, [...(readers.get(x) ?? []), node]);
    }
  }
  const products = new Map<Tensor, Tensor>();
  for (const [matrix, users] of readers) {
    if (kept.has(matrix) || !users.every((user) => isPackedProduct(user, matrix))) continue;
    for (const user of users) products.set(user, matrix);
  }
  return products;
}

function isPackedProduct({ op, inputs }: Tensor, matrix: Tensor): boolean {
  const format = matrix.op.kind === "dequantize" ? matrix.op.format : "f16";
  if (format !== "q4" && format !== "q8") return false;
  const [x, w] = inputs;
  const plain = op.kind === "matmul" && !op.transposeA && op.transposeB && op.scale === 1;
  return plain && w === matrix && x !== matrix && x?.shape.length === 2;
}

/**
 * The graph's inputs whose packed weights are unpacked two bytes at a time: nibbles that no product
 * reads as they are.
 */
export function wordInputs(
  order: readonly Tensor[],
  products: ReadonlyMap<Tensor, Tensor>,
): ReadonlySet<Tensor> {
  const absorbed = new Set(products.values());
  const words = order.flatMap((node) => {
    const [packed] = node.inputs;
    const nibbles = node.op.kind === "dequantize" && /^(q4|nf4)$/.test(node.op.format);
    const whole = packed?.op.kind === "input" && (packed.shape.at(-1) ?? 1) % 2 === 0;
    return nibbles && whole && !absorbed.has(node) ? [packed] : [];
  });
  return new Set(words);
}

/** Gradients of weights (aᵀ · b) stay out: block by block, they are added after the graphs ran. */
function isMatrixProduct({ op, inputs }: Tensor): boolean {
  const matrices = inputs.every((x) => x.shape.length === 2 && x.op.kind !== "dequantize");
  return op.kind === "matmul" && !op.transposeA && matrices;
}

/** A whole matrix, or a row that every row adds. */
function adds(addend: Shape, sum: Shape): boolean {
  return sameShape(addend, sum) || sameShape(addend, sum.slice(-1));
}
