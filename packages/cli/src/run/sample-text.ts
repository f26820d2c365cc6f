// A few words by a run's model, after the beginning of the held-out text: something that it has not
// seen. For the report only.

import type { TokenArray } from "@manyhands/engine/data/sampler";
import { createGenerator } from "@manyhands/engine/generate/generator";
import { ortNode } from "@manyhands/engine/runtime/ort-node";
import { decodeTokens, encodeText } from "@manyhands/engine/tokenizer/bytes";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import type { TunedModel } from "../run-file/tuned-model.ts";
import { wholeWeights } from "./trained-model.ts";

export type Sample = { readonly prompt: string; readonly text: string };

const SAMPLE_TOKENS = 400;
const SAMPLE_PROMPT_BYTES_MAX = 64;
const SAMPLE_PROMPT_IDS = 16;

type Trained = {
  readonly run: FrozenRun;
  readonly weights: Float32Array;
  readonly tuned: TunedModel | null;
};

export async function sampleOf(trained: Trained, validation: TokenArray): Promise<Sample> {
  const { run, tuned } = trained;
  const weights = await wholeWeights(trained);
  if (!weights) return { prompt: "", text: "BitNet's adapters stay beside their base: no sample." };
  if (validation instanceof Uint8Array) {
    const prompt = openingOf(validation);
    const ids = await write(run, weights, encodeText(prompt));
    return { prompt, text: decodeTokens(ids) };
  }
  // A token that is not counted is written as −1 − id.
  const opening = [...validation.subarray(0, SAMPLE_PROMPT_IDS)].map((id) => Math.max(id, -1 - id));
  const ids = await write(run, weights, opening);
  const decode = (some: readonly number[]): string => tuned?.tokenizer.decode([...some]) ?? "";
  return { prompt: decode(opening), text: decode(ids) };
}

/** The first line of the held-out text. */
function openingOf(validation: Uint8Array): string {
  const start = validation.indexOf(10) + 1;
  const end = validation.indexOf(10, start + 1);
  const line = validation.subarray(start, end < 0 ? undefined : end + 1);
  const text = decodeTokens(line.subarray(0, SAMPLE_PROMPT_BYTES_MAX)).trim();
  return text === "" ? "The " : `${text}\n`;
}

async function write(
  run: FrozenRun,
  weights: Float32Array,
  prompt: ArrayLike<number>,
): Promise<number[]> {
  const generator = await createGenerator({ runtime: ortNode, model: run.model, threads: 2 });
  const ids: number[] = [];
  try {
    for await (const id of generator.generate({
      weights,
      prompt: Int32Array.from(prompt),
      tokenCountMax: SAMPLE_TOKENS,
      temperature: 0.8,
      topK: 40,
      topP: 1,
      seed: run.seed,
    })) {
      ids.push(id);
    }
  } finally {
    await generator.dispose();
  }
  return ids;
}
