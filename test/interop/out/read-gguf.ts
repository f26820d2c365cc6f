// The tensors of a GGUF file that we wrote ourselves: just enough of a reader to check it.
// It deliberately checks nothing: a product would have to.
import { type BlockType, bytesOf, TYPE_IDS } from "@manyhands/engine/gguf/blocks";

export type GgufTensorBytes = {
  readonly name: string;
  readonly type: BlockType;
  readonly bytes: Uint8Array;
};

const [BOOL, STRING, ARRAY] = [7, 8, 9];
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

  skip(type: number): void {
    if (type === STRING) {
      this.text();
    } else if (type === ARRAY) {
      const inner = this.u32();
      for (let left = this.u64(); left > 0; left--) this.skip(inner);
    } else {
      this.at += type === BOOL ? 1 : 4;
    }
  }
}

export function readGguf(bytes: Buffer): readonly GgufTensorBytes[] {
  const cursor = new Cursor(bytes);
  const [tensors, keys] = [cursor.u64(), cursor.u64()];
  for (let i = 0; i < keys; i++) {
    cursor.text();
    cursor.skip(cursor.u32());
  }
  const types = new Map(Object.entries(TYPE_IDS).map(([name, id]) => [id, name as BlockType]));
  const lines = Array.from({ length: tensors }, () => {
    const name = cursor.text();
    const shape = Array.from({ length: cursor.u32() }, () => cursor.u64()).reverse();
    const type = types.get(cursor.u32()) ?? "F32";
    return { name, shape, type, offset: cursor.u64() };
  });
  const data = Math.ceil(cursor.at / ALIGNMENT) * ALIGNMENT;
  return lines.map(({ name, shape, type, offset }) => {
    const start = data + offset;
    return { name, type, bytes: bytes.subarray(start, start + bytesOf(type, shape)) };
  });
}
