// Every architecture's loss and gradients on WebGPU in Node, with every node on the GPU. About ten
// seconds each where the adapter is software.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfigJson } from "@manyhands/engine/checkpoint/hf-config";
import { parameterPlaces } from "@manyhands/engine/model/config";
import { weightFeeds, weightInputs } from "@manyhands/engine/model/decoder";
import { ortNodeWebGpu } from "@manyhands/engine/runtime/ort-node-webgpu";
import { gradientGraph } from "@manyhands/engine/train/gradient-source";
import {
  type PackedTensor,
  readVectors,
  relativeDistance,
  unpack,
} from "@manyhands/engine/vectors";

type Kind = "weights" | "gradients";
type Vector = {
  readonly name: string;
  readonly configJson: string;
  readonly tokens: PackedTensor;
  readonly loss: number;
  readonly tensors: Readonly<Record<string, Readonly<Record<Kind, PackedTensor>>>>;
};

const DISTANCE_MAX = 1e-4;

const { models } = readVectors<{ models: readonly Vector[] }>("architectures");

for (const vector of models) {
  test(`${vector.name} on WebGPU: loss and gradients`, async () => {
    const parsed = parseConfigJson(vector.configJson);
    assert(parsed.ok);
    const model = parsed.value;
    const flat = (kind: Kind): Float32Array =>
      Float32Array.from(
        parameterPlaces(model).flatMap(({ name }) => {
          return Array.from(unpack(vector.tensors[name]?.[kind] ?? assert.fail(name)));
        }),
      );
    const [sequences = 0, row = 0] = vector.tokens.shape;
    const tokens = Int32Array.from(unpack(vector.tokens));
    const ids = tokens.filter((_, i) => i % row !== row - 1);
    const targets = tokens.filter((_, i) => i % row !== 0);
    const graph = gradientGraph({ model, sequences, contextLength: row - 1, share: 1 });
    const executable = await ortNodeWebGpu.compile(graph);
    const feeds = { ...weightFeeds(model, flat("weights")), ids, targets };
    const outputs = await executable.run(feeds);
    await executable.dispose();
    assert(Math.abs((outputs["loss"]?.[0] ?? 0) - vector.loss) < 1e-4 * vector.loss);
    const gradients = flat("gradients");
    for (const { name, offset, size } of weightInputs(model)) {
      const theirs = gradients.slice(offset, offset + size);
      // A key bias has no gradient there but what rounding leaves; here it is exactly 0.
      if (name.endsWith("c_attn.bias")) theirs.fill(0, size / 3, (2 * size) / 3);
      const distance = relativeDistance(outputs[`d ${name}`] ?? [], theirs);
      assert(distance < DISTANCE_MAX, `${name} is off by ${distance}`);
    }
  });
}
