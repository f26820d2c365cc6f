// tidy-ignore dead-file: it reads files for tests.
// The tensors of a GGUF file that we wrote ourselves: just enough of a reader to check it.
// It deliberately checks nothing: a product would have to.
import { type BlockType, bytesOf, TYPE_IDS } from "../gguf/blocks.ts";

export type GgufTensorBytes = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: BlockType;
  readonly bytes: Uint8Array;
};

const [FLOAT, BOOL, STRING, ARRAY] = [6, 7, 8, 9];
const ALIGNMENT = 32;

class Cursor {
  readonly #bytes: Buffer;
  at = 8;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u32(): number {
    this.at += 4;
    return this.#bytes.readUInt32LE(this.at - 4);
  }

  u64(): number {
    this.at += 8;
    return Number(this.#bytes.readBigUInt64LE(this.at - 8));
  }

  text(): string {
    const length = this.u64();
    this.at += length;
    return this.#bytes.toString("utf8", this.at - length, this.at);
  }

  value(type: number): unknown {
    if (type === STRING) return this.text();
    if (type === ARRAY) {
      const inner = this.u32();
      return Array.from({ length: this.u64() }, () => this.value(inner));
    }
    this.at += type === BOOL ? 1 : 4;
    if (type === BOOL) return this.#bytes[this.at - 1] === 1;
    return type === FLOAT
      ? this.#bytes.readFloatLE(this.at - 4)
      : this.#bytes.readInt32LE(this.at - 4);
  }
}

export type GgufContent = {
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: readonly GgufTensorBytes[];
};

export function readGguf(bytes: Buffer): GgufContent {
  const cursor = new Cursor(bytes);
  const [tensors, keys] = [cursor.u64(), cursor.u64()];
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < keys; i++) metadata.set(cursor.text(), cursor.value(cursor.u32()));
  const types = new Map(Object.entries(TYPE_IDS).map(([name, id]) => [id, name as BlockType]));
  const lines = Array.from({ length: tensors }, () => {
    const name = cursor.text();
    const shape = Array.from({ length: cursor.u32() }, () => cursor.u64()).reverse();
    const type = types.get(cursor.u32()) ?? "F32";
    return { name, shape, type, offset: cursor.u64() };
  });
  const data = Math.ceil(cursor.at / ALIGNMENT) * ALIGNMENT;
  const content = lines.map(({ name, shape, type, offset }) => {
    const start = data + offset;
    return { name, shape, type, bytes: bytes.subarray(start, start + bytesOf(type, shape)) };
  });
  return { metadata, tensors: content };
}
