// What is written is read back bit for bit; any damage is refused or read as another valid file.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { repeatedKey } from "./repeated-key.ts";
import { readSafetensors, type TensorData, writeSafetensors } from "./safetensors.ts";

const tensor = fc.array(fc.nat(4), { maxLength: 3 }).chain((shape) => {
  const size = shape.reduce((product, extent) => product * extent, 1);
  const values = fc.float32Array({ minLength: size, maxLength: size });
  const name = fc
    .string({ unit: "binary", maxLength: 12 })
    .filter((name) => name !== "__metadata__");
  return fc.record({ name, shape: fc.constant(shape), values });
});
const tensors = fc.uniqueArray(tensor, { maxLength: 6, selector: (each) => each.name });
const metadata = fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 });

function bits(tensors: readonly TensorData[]): unknown {
  return tensors.map(({ name, shape, values }) => ({
    name,
    shape: [...shape],
    bits: Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("hex"),
  }));
}

/** Empty tensors lie at one place with their neighbour: only their set is kept. */
function inOrder(tensors: readonly TensorData[]): unknown {
  const full = tensors.filter((each) => each.values.length > 0);
  const empty = tensors.filter((each) => each.values.length === 0);
  return [bits(full), bits(empty.toSorted((a, b) => (a.name < b.name ? -1 : 1)))];
}

test("reading gives back names, shapes, bits, order and metadata", () => {
  fc.assert(
    fc.property(tensors, metadata, (tensors, metadata) => {
      const bytes = writeSafetensors(tensors, metadata);
      const read = readSafetensors(bytes);
      assert.ok(read.ok);
      assert.deepEqual(inOrder(read.value.tensors), inOrder(tensors));
      assert.deepEqual({ ...read.value.metadata }, { ...metadata });
      assert.ok(Buffer.from(writeSafetensors(tensors, metadata)).equals(bytes), "the same bytes");
    }),
  );
});

test("a file at any odd address in a larger buffer is read the same", () => {
  const values = Float32Array.of(1.5, Number.NaN, -0);
  const bytes = writeSafetensors([{ name: "w", shape: [3], values }]);
  for (let shift = 0; shift < 8; shift++) {
    const moved = new Uint8Array(bytes.length + 8).subarray(shift, shift + bytes.length);
    moved.set(bytes);
    const read = readSafetensors(moved);
    assert.ok(read.ok);
    assert.deepEqual(read.value.tensors[0]?.values, values, `shift ${shift}`);
  }
});

test("any cut of a file is refused", () => {
  fc.assert(
    fc.property(tensors, fc.nat(), (tensors, at) => {
      const bytes = writeSafetensors(tensors);
      assert.equal(readSafetensors(bytes.subarray(0, at % bytes.length)).ok, false);
    }),
  );
});

test("damaged and random bytes are answered, never thrown at", () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 });
  let [refused, accepted] = [0, 0];
  fc.assert(
    fc.property(tensors, metadata, damage, (tensors, metadata, damage) => {
      const bytes = writeSafetensors(tensors, metadata);
      for (const [at, value] of damage) bytes[at % bytes.length] = value;
      const read = readSafetensors(bytes);
      if (read.ok) accepted += 1;
      else refused += 1;
      const total = read.ok
        ? read.value.tensors.reduce((sum, one) => sum + one.values.length, 0)
        : 0;
      assert.ok(total * 4 <= bytes.length, "no more values than bytes");
    }),
    { numRuns: 500, seed: 20_261_121 },
  );
  assert.ok(refused > 0 && accepted > 0, `${refused} refused, ${accepted} accepted`);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => !readSafetensors(bytes).ok));
});

test("JSON.stringify never writes a key twice, and a copied field is found", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string(), (value, key) => {
      assert.equal(repeatedKey(JSON.stringify(value)), undefined);
      const text = JSON.stringify(key);
      assert.equal(repeatedKey(`{${text}:0,"other":[${JSON.stringify(value)}],${text}:1}`), key);
    }),
  );
});
