// The part of protobuf's wire format that an ONNX file needs: writing only. It deliberately reads
// nothing.
// @source protobuf.dev, "Encoding": varint (0), 64-bit (1), length-delimited (2), 32-bit (5)

const VARINT = 0;
const DELIMITED = 2;
const FIXED32 = 5;
const textEncoder = new TextEncoder();

/** Collects the fields of one message. */
export class Message {
  readonly #parts: Uint8Array[] = [];

  /** An integer field; negative numbers take ten bytes, as the format says. */
  int(field: number, value: number): this {
    this.#parts.push(varint((field << 3) | VARINT), varint(value));
    return this;
  }

  ints(field: number, values: readonly number[]): this {
    for (const value of values) this.int(field, value);
    return this;
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    this.#parts.push(varint((field << 3) | FIXED32), bytes);
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.#parts.push(varint((field << 3) | DELIMITED), varint(value.length), value);
    return this;
  }

  text(field: number, value: string): this {
    return this.bytes(field, textEncoder.encode(value));
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.encode());
  }

  encode(): Uint8Array {
    const length = this.#parts.reduce((sum, part) => sum + part.length, 0);
    const out = new Uint8Array(length);
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
