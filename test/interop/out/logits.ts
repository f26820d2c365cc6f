// Our engine's logits of a model whose weights come from anywhere, on one window of tokens.
import { input } from "@manyhands/engine/ir/ops";
import { graphOf } from "@manyhands/engine/ir/tensor";
import { decoderOf } from "@manyhands/engine/model/architectures";
import { parameterPlaces } from "@manyhands/engine/model/config";
import { decoderLogits, weightFeeds, weightTensors } from "@manyhands/engine/model/decoder";
import type { WeightSource } from "@manyhands/engine/quantize/base-model";
import { ortNode } from "@manyhands/engine/runtime/ort-node";

/** All weights, flat. */
async function flatWeights(source: WeightSource): Promise<Float32Array> {
  const places = parameterPlaces(source.config);
  const last = places.at(-1);
  const weights = new Float32Array(last ? last.offset + last.size : 0);
  for (const place of places) {
    const own = weights.subarray(place.offset, place.offset + place.size);
    await source.readParameter(place, own);
  }
  return weights;
}

/** Logits [T, V] of each window. */
export async function logitsOf(
  source: WeightSource,
  windows: readonly (readonly number[])[],
): Promise<readonly Float32Array[]> {
  const { config } = source;
  const time = windows[0]?.length ?? 1;
  const ids = input("ids", [1, time], "i32");
  const logits = decoderLogits(decoderOf(config), weightTensors(config), ids);
  const executable = await ortNode.compile(graphOf({ logits }));
  const feeds = weightFeeds(config, await flatWeights(source));
  const all: Float32Array[] = [];
  for (const window of windows) {
    const outputs = await executable.run({ ...feeds, ids: Int32Array.from(window) });
    all.push((outputs["logits"] ?? new Float32Array()).slice());
  }
  await executable.dispose();
  return all;
}

/** −log p of every token but the first, in nats per token. */
export function lossOf(
  logits: readonly Float32Array[],
  windows: readonly (readonly number[])[],
): number {
  let [sum, count] = [0, 0];
  for (const [index, window] of windows.entries()) {
    const rows = logits[index] ?? new Float32Array();
    const width = rows.length / window.length;
    for (let t = 0; t + 1 < window.length; t++) {
      const row = rows.subarray(t * width, (t + 1) * width);
      const most = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const total = row.reduce((all, x) => all + Math.exp(x - most), 0);
      sum += most + Math.log(total) - (row[window[t + 1] ?? 0] ?? 0);
      count += 1;
    }
  }
  return sum / count;
}
