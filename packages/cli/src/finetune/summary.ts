// summary.json of a fine-tuning run: what came out, in numbers that a script can read. Pure.
import type { TextFacts } from "@manyhands/engine/data/text-data";
import type { History } from "./checkpoint-file.ts";
import { type Recipe, type RecipeData, recipeHash } from "./recipe.ts";

export type FinetuneSummary = {
  readonly recipeHash: string;
  readonly base: Recipe["model"];
  readonly method: Recipe["method"];
  /** The folder that was written. */
  readonly result: string;
  readonly steps: number;
  /** Counted tokens of all steps. */
  readonly tokens: number;
  readonly trainables: number;
  /** Nats per token on the held-out text, before the first step and after the last. */
  readonly baseValidationLoss: number | null;
  readonly validationLoss: number | null;
  /** Mean of the last steps. */
  readonly trainingLoss: number;
  readonly trainingSeconds: number;
  readonly data: readonly RecipeData[];
  readonly facts: TextFacts;
};

const LAST_STEPS = 20;

export function summaryOf(options: {
  readonly recipe: Recipe;
  readonly history: History;
  readonly facts: TextFacts;
  readonly result: string;
  readonly trainables: number;
}): FinetuneSummary {
  const { recipe, history, facts, result, trainables } = options;
  const last = history.train.slice(-LAST_STEPS);
  return {
    recipeHash: recipeHash(recipe),
    base: recipe.model,
    method: recipe.method,
    result,
    steps: recipe.steps,
    tokens: history.tokens,
    trainables,
    baseValidationLoss: history.validation[0]?.loss ?? null,
    validationLoss: history.validation.at(-1)?.loss ?? null,
    trainingLoss: last.reduce((sum, { loss }) => sum + loss, 0) / Math.max(1, last.length),
    trainingSeconds: history.trainingMs / 1_000,
    data: recipe.data,
    facts,
  };
}

/** The recipe as names and values for people: for the card, the report and --dry-run. */
export function recipeRows(recipe: Recipe): [string, string][] {
  const { adapter, schedule, optimizer } = recipe;
  const rows: [string, string | number | undefined][] = [
    ["method", recipe.method],
    ["base", recipe.method === "lora" ? `frozen, in ${recipe.base}` : "all weights in f32"],
    ["adapter", adapter ? adapterWords(adapter) : undefined],
    ["sequence", `${recipe.sequence} tokens, ${recipe.layout}`],
    ["loss", recipe.loss === "all" ? "every token" : "what the assistant or completion says"],
    ["batch", `${recipe.batch} sequences in parts of ${recipe.microBatch}`],
    ["steps", recipe.steps],
    ["learning rate", recipe.learningRate],
    ["schedule", `${schedule.kind}, ${schedule.warmupSteps} steps of warm-up`],
    ["optimizer", `AdamW, weight decay ${optimizer.weightDecay}, clip ${clipWords(recipe)}`],
    ["held out", `${(recipe.validationShare * 100).toFixed(1)} %`],
    ["seed", recipe.seed],
    ["threads", recipe.threads],
  ];
  return rows.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
}

function adapterWords(adapter: NonNullable<Recipe["adapter"]>): string {
  const targets = adapter.targetModules;
  return [
    `rank ${adapter.r}, alpha ${adapter.loraAlpha}`,
    `on ${typeof targets === "string" ? "all linear layers" : targets.join(", ")}`,
    adapter.loraDropout ? `dropout ${adapter.loraDropout}` : "",
    adapter.useRslora ? "rsLoRA" : "",
    adapter.useDora ? "DoRA" : "",
  ]
    .filter((part) => part !== "")
    .join(", ");
}

function clipWords({ optimizer }: Recipe): string {
  const { gradientNormMax } = optimizer;
  return gradientNormMax === Number.MAX_VALUE ? "none" : String(gradientNormMax);
}
