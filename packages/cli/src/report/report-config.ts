// The report's list of what the owner chose.
import type { FrozenRun } from "@manyhands/protocol/run-config";
import { bytesText, groupedText, shareText } from "../terminal/format.ts";
import { escapeText } from "./svg.ts";

const BPS = 10_000;

export function configSection(run: FrozenRun): string {
  const rows: readonly (readonly [string, string])[] = [
    ["model", modelWords(run)],
    ...tuningRows(run),
    [
      "data",
      run.dataset.files.map((file) => `${file.name} (${bytesText(file.byteLength)})`).join(", "),
    ],
    ["validation", `the last ${shareText(run.dataset.validationBps / BPS)}`],
    ...recipeRows(run),
    ["closing", closingWords(run)],
    ["budget", budgetWords(run)],
    ...payRows(run),
    ["seed", String(run.seed)],
    ["protocol", `${run.protocolVersion}, kernels ${run.kernelSet}`],
  ];
  const items = rows.map(([name, value]) => `<dt>${name}</dt><dd>${escapeText(value)}</dd>`);
  return `<section><h2>Configuration</h2><dl>${items.join("\n")}</dl></section>`;
}

function modelWords({ model }: FrozenRun): string {
  const shape =
    model.modelType === "gpt2"
      ? [
          `GPT-2: ${model.nLayer} layers of ${model.nEmbd}`,
          `${model.nHead} heads`,
          `feed-forward ${model.nInner}`,
        ]
      : [
          `${model.numHiddenLayers} layers of ${model.hiddenSize}`,
          `${model.numAttentionHeads} heads (${model.numKeyValueHeads} for keys and values)`,
          `feed-forward ${model.intermediateSize}`,
        ];
  return [...shape, `vocabulary ${model.vocabSize}`].join(", ");
}

/** What trains, if not a model from nothing. */
function tuningRows({ tuning }: FrozenRun): readonly (readonly [string, string])[] {
  if (!tuning) return [];
  if (tuning.method === "full") return [["method", "all weights of a trained model"]];
  const { adapter, base } = tuning;
  const { r, loraAlpha, loraDropout, targetModules, useRslora, useDora } = adapter;
  const targets = typeof targetModules === "string" ? targetModules : targetModules.join(", ");
  const extras = [useRslora ? "rsLoRA" : "", useDora ? "DoRA" : ""].filter((word) => word !== "");
  const words = [`rank ${r}`, `alpha ${loraAlpha}`, `dropout ${loraDropout}`, targets, ...extras];
  const stored = `${base.kind}, ${bytesText(base.byteLength)}`;
  return [
    ["method", `adapters (LoRA): ${words.join(", ")}`],
    ["frozen base", stored],
  ];
}

function recipeRows({ recipe }: FrozenRun): readonly (readonly [string, string])[] {
  const { schedule, outer } = recipe;
  const rates =
    recipe.optimizer === "muon"
      ? `learning rate ${recipe.learningRate} (AdamW's part: ${recipe.adamLearningRate})`
      : `learning rate ${recipe.learningRate}`;
  const batch = `${recipe.batchSequences} × ${recipe.contextLength} tokens`;
  return [
    [
      "optimizer",
      `${recipe.optimizer}, ${rates}, weight decay ${recipe.weightDecay}, ` +
        `gradient clip ${recipe.gradientClip}`,
    ],
    [
      "schedule",
      `warm-up ${schedule.warmup}, cool-down ${schedule.cooldown}, floor ${schedule.floor}`,
    ],
    [
      "a round",
      `${recipe.innerSteps} inner steps of ${batch}; updates in ${recipe.codec}; ` +
        `outer learning rate ${outer.learningRate}, momentum ${outer.momentum}`,
    ],
  ];
}

function closingWords({ rounds }: FrozenRun): string {
  const quorum = shareText(rounds.quorumBps / BPS);
  const grace = shareText(rounds.graceBps / BPS);
  return (
    `quorum ${quorum}, grace ${grace} of the time to the quorum, ` +
    `updates up to ${rounds.stalenessMax} rounds late`
  );
}

function payRows({ pay }: FrozenRun): readonly (readonly [string, string])[] {
  if (!pay) return [];
  const { trainingBps, dataBps, storageBps } = pay.shares;
  const parts = [
    `${groupedText(pay.unitsPerMillionTokens)} units of 0x${pay.chain.token} per million tokens`,
    `training ${shareText(trainingBps / BPS)}`,
    `data ${shareText(dataBps / BPS)}`,
    `storage ${shareText(storageBps / BPS)}`,
    `settled every ${pay.settleEvery} rounds by ${pay.threshold} of ${pay.attestors.length}`,
    `chain ${pay.chain.chainId}`,
  ];
  return [["pay", parts.join(", ")]];
}

function budgetWords({ budget }: FrozenRun): string {
  const parts = [
    budget.tokens === null ? "" : `${groupedText(budget.tokens)} tokens`,
    budget.minutes === null ? "" : `${budget.minutes} minutes`,
  ];
  return parts.filter((part) => part !== "").join(" or ");
}
