// An ONNX model under construction: nodes, initialisers, inputs and outputs, and their encoding.
// It deliberately knows nothing of our IR. Field numbers: onnx.proto3 of the ONNX project.
import type { ConstantData, DType, Shape } from "../ir/tensor.ts";
import { Message } from "./protobuf.ts";

export type Attribute = number | readonly number[] | { readonly float: number } | string;
export type Attributes = Readonly<Record<string, Attribute>>;

export type OnnxNode = {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly attributes: Attributes;
  /** "" for ONNX's own operators. */
  readonly domain: string;
};

const IR_VERSION = 9;
const OPSET = 20;
const ELEMENT_TYPE = { f32: 1, u8: 2, u16: 4, i32: 6, i64: 7, bool: 9, f16: 10 } as const;
const ATTRIBUTE_FLOAT = 1;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_STRING = 3;
const ATTRIBUTE_INTS = 7;

/** Also in ai.onnx's domain although only ONNX Runtime has it: SimplifiedLayerNormalization. */
export const MICROSOFT = "com.microsoft";

/** The number of a type in ONNX's TensorProto.DataType. */
export function elementType(dtype: DType): number {
  return ELEMENT_TYPE[dtype];
}

/**
 * Emits each distinct operation once: an equal operation on equal values gives the same names back.
 */
export class OnnxModel {
  readonly #graph = new Message();
  readonly #emitted = new Map<string, readonly string[]>();
  readonly #constants = new Map<string, string>();
  #names = 0;

  #fresh(): string {
    this.#names += 1;
    return `t${this.#names}`;
  }

  input(name: string, shape: Shape, dtype: DType | "u16"): void {
    this.#graph.message(11, valueInfo(name, shape, dtype));
  }

  /** Gives a value an output's name. */
  output(name: string, value: string, shape: Shape, dtype: DType): void {
    const identity = { type: "Identity", inputs: [value], attributes: {}, domain: "" };
    this.#graph.message(1, nodeMessage(identity, [name]));
    this.#graph.message(12, valueInfo(name, shape, dtype));
  }

  constant(data: ConstantData, shape: Shape): string {
    const type = data instanceof Int32Array ? ELEMENT_TYPE.i32 : ELEMENT_TYPE.f32;
    const name = this.#fresh();
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#graph.message(5, tensorMessage(name, shape, type, bytes));
    return name;
  }

  scalar(value: number): string {
    return this.#shared(`f${value}`, () => this.constant(Float32Array.of(value), []));
  }

  /** A constant that is emitted once for all who name it. */
  table(name: string, data: Float32Array, shape: Shape): string {
    return this.#shared(`table ${name}`, () => this.constant(data, shape));
  }

  /** A vector of int64, as shapes, axes and pads are. */
  int64s(values: readonly number[], shape: Shape = [values.length]): string {
    return this.#shared(`i${values.join()}/${shape.length}`, () => {
      const name = this.#fresh();
      const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
      this.#graph.message(5, tensorMessage(name, shape, ELEMENT_TYPE.i64, bytes));
      return name;
    });
  }

  #shared(key: string, make: () => string): string {
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = make();
    this.#constants.set(key, name);
    return name;
  }

  /** One node; returns the name of its first output. */
  emit(type: string, inputs: readonly string[], attributes: Attributes = {}, domain = ""): string {
    return this.emitMany({ type, inputs, attributes, domain }, 1)[0] as string;
  }

  /** One node; returns the names of its outputs. */
  emitMany(node: OnnxNode, outputCount: number): readonly string[] {
    const { type, inputs, attributes, domain } = node;
    const key = `${domain}.${type}(${inputs.join()})${JSON.stringify(attributes)}`;
    const known = this.#emitted.get(key);
    if (known !== undefined) return known;
    const outputs = Array.from({ length: outputCount }, () => this.#fresh());
    this.#graph.message(1, nodeMessage(node, outputs));
    this.#emitted.set(key, outputs);
    return outputs;
  }

  encode(): Uint8Array {
    this.#graph.text(2, "manyhands");
    return new Message()
      .int(1, IR_VERSION)
      .text(2, "manyhands")
      .message(7, this.#graph)
      .message(8, new Message().text(1, "").int(2, OPSET))
      .message(8, new Message().text(1, MICROSOFT).int(2, 1))
      .encode();
  }
}

function valueInfo(name: string, shape: Shape, dtype: DType | "u16"): Message {
  const dims = new Message();
  for (const dim of shape) dims.message(1, new Message().int(1, dim));
  const tensor = new Message().int(1, ELEMENT_TYPE[dtype]).message(2, dims);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}

function tensorMessage(name: string, shape: Shape, type: number, bytes: Uint8Array): Message {
  return new Message().ints(1, shape).int(2, type).text(8, name).bytes(9, bytes);
}

function nodeMessage(node: OnnxNode, outputs: readonly string[]): Message {
  const { type, inputs, attributes, domain } = node;
  const message = new Message();
  for (const input of inputs) message.text(1, input);
  for (const output of outputs) message.text(2, output);
  message.text(4, type);
  for (const [name, value] of Object.entries(attributes)) {
    message.message(5, attributeMessage(name, value));
  }
  return domain === "" ? message : message.text(7, domain);
}

function attributeMessage(name: string, value: Attribute): Message {
  const message = new Message().text(1, name);
  if (typeof value === "number") return message.int(3, value).int(20, ATTRIBUTE_INT);
  if (typeof value === "string") return message.text(4, value).int(20, ATTRIBUTE_STRING);
  if ("float" in value) return message.float(2, value.float).int(20, ATTRIBUTE_FLOAT);
  return message.ints(8, value).int(20, ATTRIBUTE_INTS);
}
