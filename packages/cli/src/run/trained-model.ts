// What a run has trained, as files that other tools load: a model, or an adapter as peft reads it.
// It deliberately measures nothing.
import { InputError } from "@manyhands/base/errors";
import { exportFiles } from "@manyhands/engine/checkpoint/export";
import { finetuneCardText } from "@manyhands/engine/checkpoint/finetune-card";
import type { ModelCard } from "@manyhands/engine/checkpoint/model-card";
import { writeExportFolder } from "@manyhands/engine/checkpoint/node-folder";
import { writeModelFolder } from "@manyhands/engine/convert/model-folder-files";
import { withAdapter } from "@manyhands/engine/convert/weight-source";
import { architectureOf, parameterCount, parameterPlaces } from "@manyhands/engine/model/config";
import { writeAdapterFolder } from "@manyhands/engine/peft/adapter-folder";
import { flatSource } from "@manyhands/engine/quantize/base-model";
import { type FrozenRun, tokensPerStep } from "@manyhands/protocol/run-config";
import type { TunedModel } from "../run-file/tuned-model.ts";

/** A trained model that a run began with: its small files at least, and what it is called. */
export type Origin = Pick<TunedModel, "folder" | "name" | "commit"> & {
  readonly tokenizer: Pick<TunedModel["tokenizer"], "chat">;
};

export type TrainedModel = {
  readonly run: FrozenRun;
  /** The run's shared state: all weights, or the adapters'. */
  readonly weights: Float32Array;
  /** What was trained on; null also where a run's folder does not tell. */
  readonly tuned: Origin | null;
  readonly card: ModelCard;
};

/**
 * Writes a folder: complete, or as it was before.
 *
 * @throws InputError  if the folder holds something else, or the model's files are needed
 * @throws ExportError if the disk refuses
 */
export async function writeTrained(folder: string, trained: TrainedModel): Promise<void> {
  const { run, weights, tuned } = trained;
  const { model, tuning } = run;
  if (tuning?.method === "lora") {
    const origin = { baseModel: tuned?.name ?? null, revision: tuned?.commit ?? null };
    const saved = { adapter: tuning.adapter, ...origin, weights };
    const card = tunedCard(trained, "adapter");
    await writeAdapterFolder(folder, { model, saved, card, tokenizerFrom: tuned?.folder });
    return;
  }
  if (tuning && tuned) {
    const source = flatSource(model, weights);
    const shape = { source, base: tuned.folder, target: folder, dtype: "f32" } as const;
    await writeModelFolder({ ...shape, card: tunedCard(trained, "model") });
    return;
  }
  if (tuning || model.modelType === "gpt2") {
    throw new InputError("the files of the model that this run began with are not in its folder", {
      hint: "the run is older than that: take export/, which it wrote when it ended",
    });
  }
  const files = exportFiles({ config: model, weights, card: trained.card });
  await writeExportFolder(folder, files);
}

function tunedCard({ run, tuned, card }: TrainedModel, kind: "adapter" | "model"): string {
  const name = tuned?.name ?? "its base";
  return finetuneCardText({
    name: `${run.name}, fine-tuned`,
    base: { name, license: null, ...(tuned?.commit ? { commit: tuned.commit } : {}) },
    kind,
    architecture: architectureOf(run.model),
    data: card.dataset.map((file) => {
      const tokens = run.tokenizer === "bytes" ? file.byteLength : file.byteLength / 4;
      return { name: file.name, format: "text", examples: 1, tokens };
    }),
    recipe: { ...card.recipe, "run id": card.runId, rounds: card.rounds },
    losses: {
      ...(card.valLoss === null ? {} : { validation: card.valLoss }),
      steps: Math.round(card.tokens / tokensPerStep(run.recipe)),
      tokens: card.tokens,
    },
    chatTemplate: tuned?.tokenizer.chat !== undefined,
    license: card.license,
    devices: card.contributors,
  });
}

type WholeOptions = Pick<TrainedModel, "run" | "weights"> & { readonly tuned: TunedModel | null };

/** All weights of what was trained, with adapters merged in; undefined where that cannot be. */
export async function wholeWeights({
  run,
  weights,
  tuned,
}: WholeOptions): Promise<Float32Array | undefined> {
  const { model, tuning } = run;
  if (tuning?.method !== "lora" || !tuned?.base) return weights;
  if (architectureOf(model) === "bitnet") return undefined;
  const saved = { adapter: tuning.adapter, baseModel: null, revision: null, weights };
  const merged = await withAdapter(tuned.base.model, saved);
  const whole = new Float32Array(parameterCount(model));
  for (const place of parameterPlaces(model)) {
    const own = whole.subarray(place.offset, place.offset + place.size);
    await merged.readParameter(place, own);
  }
  return whole;
}
