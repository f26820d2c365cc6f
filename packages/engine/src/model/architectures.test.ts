// Every architecture against the real transformers: config.json, names, logits, gradients of all
// parameters, whole and block by block, and generation token by token.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfigJson } from "../checkpoint/hf-config.ts";
import { configJson } from "../checkpoint/hf-config-json.ts";
import { Decoding, DecodingGraphs } from "../generate/generator.ts";
import { ortNode } from "../runtime/ort-node.ts";
import { ortWebWasm } from "../runtime/ort-web-wasm.ts";
import { reference } from "../runtime/reference.ts";
import { ADAMW_RECIPE } from "../train/options.ts";
import { createTrainer } from "../train/trainer.ts";
import { type PackedTensor, readVectors, relativeDistance, unpack } from "../vectors.ts";
import { type ModelConfig, parameterPlaces } from "./config.ts";

type Vector = {
  readonly name: string;
  readonly configJson: string;
  readonly tokens: PackedTensor;
  readonly logits: PackedTensor;
  readonly loss: number;
  readonly tensors: Readonly<
    Record<string, { readonly weights: PackedTensor; readonly gradients: PackedTensor }>
  >;
};

/** float32 against float64; norms and quantisation are float32 on both sides. */
const DISTANCE_MAX = 1e-5;

const RUNS = [
  ["ortNode", ortNode, "none"],
  ["ortNode, block by block", ortNode, "blocks"],
  ["WASM", ortWebWasm(), "none"],
  ["reference", reference, "none"],
] as const;

const { models } = readVectors<{ models: readonly Vector[] }>("architectures");

function configOf(vector: Vector): ModelConfig {
  const parsed = parseConfigJson(vector.configJson);
  assert(parsed.ok, parsed.ok ? "" : parsed.error);
  return parsed.value;
}

function flat(vector: Vector, kind: "weights" | "gradients"): Float32Array {
  const places = parameterPlaces(configOf(vector));
  const last = places.at(-1);
  const values = new Float32Array(last ? last.offset + last.size : 0);
  for (const { name, shape, offset } of places) {
    const tensor = vector.tensors[name]?.[kind];
    assert.deepEqual(tensor?.shape, shape, name);
    values.set(unpack(tensor ?? assert.fail(name)), offset);
  }
  return values;
}

function idsOf(vector: Vector): Int32Array {
  return Int32Array.from(unpack(vector.tokens));
}

for (const vector of models) {
  test(`${vector.name}: config.json and back; every parameter has its name`, () => {
    const config = configOf(vector);
    assert.deepEqual(parseConfigJson(configJson(config)), { ok: true, value: config });
    const names = parameterPlaces(config).map(({ name }) => name);
    assert.deepEqual(new Set(names), new Set(Object.keys(vector.tensors)));
  });

  for (const [how, runtime, recomputation] of RUNS) {
    test(`${vector.name}, ${how}: loss and gradients`, async () => {
      const model = configOf(vector);
      const [sequences = 0, row = 0] = vector.tokens.shape;
      const batch = { sequences, contextLength: row - 1 };
      const options = { runtime, model, optimizer: ADAMW_RECIPE, batch, recomputation };
      const trainer = await createTrainer(options);
      trainer.weights.set(flat(vector, "weights"));
      const { loss, gradients } = await trainer.gradients(idsOf(vector));
      assert(Math.abs(loss - vector.loss) < 1e-6 * vector.loss, `${loss}, not ${vector.loss}`);
      const expected = flat(vector, "gradients");
      for (const { name, offset, size } of parameterPlaces(model)) {
        const own = (all: Float32Array): Float32Array => all.subarray(offset, offset + size);
        const [ours, theirs] = [own(gradients), own(expected)];
        const keyBias = name.endsWith("attn.c_attn.bias");
        const distance = relativeDistance(ours, keyBias ? withoutThird(theirs) : theirs);
        assert(distance < DISTANCE_MAX, `${name} is off by ${distance}`);
      }
      await trainer.dispose();
    });
  }

  test(`${vector.name}: token by token, the logits are those of transformers`, async () => {
    const model = configOf(vector);
    const [, time = 0, vocabSize = 0] = vector.logits.shape;
    const graphs = await DecodingGraphs.compile({ runtime: ortNode, model });
    const decoding = new Decoding(graphs, flat(vector, "weights"));
    const ids = Array.from(idsOf(vector)).slice(0, time);
    const rows = [await decoding.read(ids.slice(0, 2))];
    for (const id of ids.slice(2)) rows.push(await decoding.next(id));
    const expected = unpack(vector.logits).subarray(vocabSize, time * vocabSize);
    const distance = relativeDistance(
      rows.flatMap((each) => Array.from(each)),
      expected,
    );
    assert(distance < DISTANCE_MAX, `off by ${distance}`);
    await graphs.dispose();
  });
}

/** Key biases have a gradient of exactly 0 here (gpt2.ts), and one of rounding in PyTorch. */
function withoutThird(values: Float32Array): Float32Array {
  return values.slice().fill(0, values.length / 3, (2 * values.length) / 3);
}
