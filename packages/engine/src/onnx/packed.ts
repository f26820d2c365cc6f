// Packed matrices as ONNX operators: unpacked by looking bytes up in a table, or multiplied as they
// are. It deliberately uses only what every build of ONNX Runtime has kernels for.
import { assert, defined } from "@manyhands/base/assert";
import { type PackedFormat, type Shape, sizeOf, type Tensor } from "../ir/tensor.ts";
import { byteTable, Q8_ZERO } from "../quantize/formats.ts";
import { halfByteTable } from "../quantize/half.ts";
import { elementType, MICROSOFT, type OnnxModel } from "./model.ts";

type Packed = {
  readonly op: { readonly format: PackedFormat; readonly block: number };
  readonly node: Tensor;
  readonly inputs: readonly string[];
  /** False: half floats are fed as bytes. */
  readonly halfFloats: boolean;
  /** True: bytes are fed two by two, as words of 16 bits. */
  readonly words: boolean;
};

/** The shape of packed weights that are fed as words. */
export function wordShape(shape: Shape): Shape {
  return [...shape.slice(0, -1), (shape.at(-1) ?? 0) / 2];
}

/** The matrix as f32: the values that quantize/formats.ts gives, to the bit. */
export function emitDequantized(model: OnnxModel, own: Packed): string {
  const { op, node, inputs } = own;
  const packed = defined(inputs[0], "there are packed weights");
  if (op.format === "f16") {
    if (!own.halfFloats) return emitHalves(model, packed, node);
    return model.emit("Cast", [packed], { to: elementType("f32") });
  }
  const scales = defined(inputs[1], "there are scales");
  const shape = model.int64s(node.shape);
  if (op.format === "ternary") {
    // The table is scaled, which is all it takes: 4 weights to a byte.
    const scaled = model.emit("Mul", [tableOf(model, op.format, false), scales]);
    return model.emit("Reshape", [looked(model, packed, scaled), shape]);
  }
  const rows = sizeOf(node.shape) / op.block;
  const column = model.emit("Reshape", [scales, model.int64s([rows, 1])]);
  const levels =
    op.format === "q8"
      ? signedBytes(model, packed)
      : looked(model, packed, tableOf(model, op.format, own.words));
  const blocks = model.emit("Reshape", [levels, model.int64s([rows, op.block])]);
  return model.emit("Reshape", [model.emit("Mul", [blocks, column]), shape]);
}

/** Half floats from their bytes [..., 2], the lower first. */
function emitHalves(model: OnnxModel, packed: string, { shape }: Tensor): string {
  const last = model.int64s([shape.length]);
  const part = (x: string, index: number): string => {
    const bounds = [model.int64s([index]), model.int64s([index + 1]), last];
    return model.emit("Reshape", [model.emit("Slice", [x, ...bounds]), model.int64s(shape)]);
  };
  // WebGPU's kernels slice floats only.
  const bytes = model.emit("Cast", [packed], { to: elementType("f32") });
  const high = model.emit("Cast", [part(bytes, 1)], { to: elementType("i32") });
  const table = model.table("halves", halfByteTable(), [256, 2]);
  const line = model.emit("Gather", [table, high], { axis: 0 });
  const low = part(bytes, 0);
  return model.emit("Add", [part(line, 0), model.emit("Mul", [part(line, 1), low])]);
}

/** Bytes as −128 … 127. */
function signedBytes(model: OnnxModel, packed: string): string {
  const wide = model.emit("Cast", [packed], { to: elementType("f32") });
  return model.emit("Sub", [wide, model.scalar(Q8_ZERO)]);
}

/** Row b of the table for every byte or word b. */
function looked(model: OnnxModel, packed: string, table: string): string {
  const indices = model.emit("Cast", [packed], { to: elementType("i32") });
  return model.emit("Gather", [table, indices], { axis: 0 });
}

function tableOf(model: OnnxModel, format: "q4" | "nf4" | "ternary", words: boolean): string {
  const bytes = byteTable(format);
  const table = words ? wordTable(bytes) : bytes;
  const rows = words ? 65_536 : 256;
  return model.table(`${format} ${rows}`, table, [rows, table.length / rows]);
}

/** What each of 65 536 words stands for: its lower byte's row, then its upper one's. */
function wordTable(bytes: Float32Array): Float32Array {
  const width = bytes.length / 256;
  const table = new Float32Array(65_536 * 2 * width);
  for (let word = 0; word < 65_536; word++) {
    const [low, high] = [word & 255, word >> 8];
    table.set(bytes.subarray(low * width, (low + 1) * width), word * 2 * width);
    table.set(bytes.subarray(high * width, (high + 1) * width), (word * 2 + 1) * width);
  }
  return table;
}

/** x [M, K] · Wᵀ of a packed W [N, K], in float32 throughout: accuracy level 0. */
export function emitPackedProduct(
  model: OnnxModel,
  matrix: Tensor,
  inputs: readonly string[],
): string {
  const { op } = matrix;
  assert(op.kind === "dequantize" && inputs.length === 3, "x, packed weights, scales");
  const [N = 1, K = 1] = matrix.shape;
  const bits = op.format === "q8" ? 8 : 4;
  const attributes = { K, N, bits, block_size: op.block, accuracy_level: 0 };
  return model.emit("MatMulNBits", inputs, attributes, MICROSOFT);
}
