// What a finished run leaves: the adapter or the model with its card, the report, and last the
// summary, which says that the rest is complete.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type FinetuneCard,
  finetuneCardText,
  licenseOfReadme,
} from "@manyhands/engine/checkpoint/finetune-card";
import { writeModelFolder } from "@manyhands/engine/convert/model-folder-files";
import { architectureOf } from "@manyhands/engine/model/config";
import { writeAdapterFolder } from "@manyhands/engine/peft/adapter-folder";
import { flatSource } from "@manyhands/engine/quantize/base-model";
import type { Tuner } from "@manyhands/engine/train/tuner";
import type { History } from "./checkpoint-file.ts";
import type { Prepared } from "./prepare.ts";
import { finetuneReportHtml } from "./report-html.ts";
import { type FinetunePaths, writeText } from "./run-files.ts";
import { type FinetuneSummary, recipeRows, summaryOf } from "./summary.ts";

export type Finished = {
  readonly prepared: Prepared;
  readonly tuner: Tuner;
  readonly history: History;
  readonly paths: FinetunePaths;
};

/** @throws InputError, ExportError, CommandError if the disk refuses */
export async function writeResult({
  prepared,
  tuner,
  history,
  paths,
}: Finished): Promise<FinetuneSummary> {
  const { recipe, found, config, data, chatTemplate } = prepared;
  const result = recipe.adapter ? paths.adapter : paths.model;
  const trainables = tuner.weights.length;
  const { facts } = data;
  const summary = summaryOf({ recipe, history, facts, result, trainables });
  const card = finetuneCardText(await cardOf(prepared, summary));
  const weights = Float32Array.from(tuner.weights);
  if (recipe.adapter) {
    const baseModel = found.repo ?? prepared.name;
    const revision = found.commit ?? null;
    const saved = { adapter: recipe.adapter, baseModel, revision, weights };
    await writeAdapterFolder(result, { model: config, saved, card, tokenizerFrom: found.folder });
  } else {
    const source = flatSource(config, weights);
    const shape = { source, base: found.folder, target: result, dtype: "f32" } as const;
    await writeModelFolder({ ...shape, card });
  }
  // The template that the data was written in belongs to the result.
  if (chatTemplate !== undefined)
    await writeText(join(result, "chat_template.jinja"), chatTemplate);
  await writeText(
    paths.report,
    finetuneReportHtml({ summary, history, recipe: recipeRows(recipe) }),
  );
  await writeText(paths.summary, `${JSON.stringify(summary, null, 2)}\n`);
  return summary;
}

async function cardOf(prepared: Prepared, summary: FinetuneSummary): Promise<FinetuneCard> {
  const { found, recipe, config, tokenizer, data } = prepared;
  const readme = await readFile(join(found.folder, "README.md"), "utf8").catch(() => "");
  const license = licenseOfReadme(readme);
  const optional = {
    ...(summary.baseValidationLoss === null ? {} : { baseValidation: summary.baseValidationLoss }),
    ...(summary.validationLoss === null ? {} : { validation: summary.validationLoss }),
  };
  return {
    name: `${found.repo ?? recipe.model.name}, fine-tuned`,
    base: {
      name: found.repo ?? recipe.model.name,
      ...(found.commit === undefined ? {} : { commit: found.commit }),
      license,
    },
    kind: recipe.adapter ? "adapter" : "model",
    data: data.files.map(({ name, format, documents, tokens, sha256 }) => {
      return { name, format, examples: documents, tokens, sha256 };
    }),
    recipe: Object.fromEntries(recipeRows(recipe)),
    losses: {
      ...optional,
      training: summary.trainingLoss,
      tokens: summary.tokens,
      steps: summary.steps,
    },
    architecture: architectureOf(config),
    chatTemplate: tokenizer.chat !== undefined,
    license,
    devices: 1,
  };
}
