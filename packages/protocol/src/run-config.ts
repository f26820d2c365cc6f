// The run's frozen configuration, and the hash that names it. Every field is consensus.
// Not here: local choices of one device (threads, folders, ports).
import { canonicalHash } from "@manyhands/base/canonical";
import {
  type Decoded,
  type DecodeProblem,
  type Decoder,
  fallback,
  hex,
  integer,
  line,
  list,
  nullable,
  object,
  oneOf,
  real,
  text,
} from "@manyhands/base/decode";
import { err, ok, type Result } from "@manyhands/base/result";
import {
  BATCH_SEQUENCES_MAX,
  BPS,
  BUDGET_TOKENS_MAX,
  CONTEXT_LENGTH_MAX,
  DATA_FILES_MAX,
  DIMENSION_MAX,
  EVALUATE_WINDOWS_MAX,
  FRAGMENTS_MAX,
  INNER_STEPS_MAX,
  NAME_CHARS_MAX,
  RANK_MAX,
  STALENESS_MAX,
  UPDATE_TOKENS_MAX,
  WORKERS_MAX,
} from "./limits.ts";
import { contextLimitOf, modelDecoder, modelRules, type Rule } from "./model-config.ts";
import { type Pay, payDecoder, payRules } from "./pay.ts";
import { type Tuning, tuningDecoder } from "./tuning.ts";
import { KERNEL_SET, PROTOCOL_VERSION } from "./version.ts";

const DAY_MS = 86_400_000;

const scheduleDecoder = object({
  /** Share of the budget with a linear rise from 0. */
  warmup: fallback(real(0, 0.5), 0.02),
  /** Share of the budget, at its end, with a linear fall to `floor`. */
  cooldown: fallback(real(0, 1), 0.6),
  /** Learning rate at the end, as a share of the peak. */
  floor: fallback(real(0, 1), 0.02),
});

const outerDecoder = object({
  learningRate: fallback(real(0, 10), 1),
  momentum: fallback(real(0, 0.999), 0),
});

export const recipeDecoder = object({
  optimizer: fallback(oneOf("muon", "adamw"), "muon"),
  /** Peak learning rate of the optimizer named above. */
  learningRate: real(1e-8, 10),
  /** Peak learning rate of what Muon leaves to AdamW: embedding, head, norms. */
  adamLearningRate: fallback(real(1e-8, 10), 0.006),
  weightDecay: fallback(real(0, 10), 0.05),
  gradientClip: fallback(real(1e-6, 1e6), 1),
  schedule: fallback(scheduleDecoder, { warmup: 0.02, cooldown: 0.6, floor: 0.02 }),
  /** Sequences of one inner step of one worker. */
  batchSequences: integer(1, BATCH_SEQUENCES_MAX),
  contextLength: integer(2, CONTEXT_LENGTH_MAX),
  /** H: inner steps of one round for a worker of ordinary speed. */
  innerSteps: integer(1, INNER_STEPS_MAX),
  codec: fallback(oneOf("q8", "ternary", "sign"), "ternary"),
  outer: fallback(outerDecoder, { learningRate: 1, momentum: 0 }),
});
export type Recipe = Decoded<typeof recipeDecoder>;

export const roundPolicyDecoder = object({
  /** The first round opens when so many are here, or `waitMs` after the first of them came. */
  workersMin: fallback(integer(1, WORKERS_MAX), 1),
  waitMs: fallback(integer(0, DAY_MS), 30_000),
  /** Share of the round's active workers whose commitments start the grace period. */
  quorumBps: fallback(integer(1, BPS), 6_000),
  /** Grace after the quorum, as a share of the time that the quorum took. */
  graceBps: fallback(integer(0, 10 * BPS), 5_000),
  /** A round with at least one commitment closes after so long at the latest. */
  roundMsMax: fallback(integer(100, DAY_MS), 600_000),
  /** A worker that was not heard of for so long has left. */
  leaseMs: fallback(integer(100, DAY_MS), 60_000),
  /** An update may be so many rounds late. */
  stalenessMax: fallback(integer(0, STALENESS_MAX), 2),
  /** Every so many rounds the workers share one evaluation of the round's base. */
  evaluateEvery: fallback(integer(1, 1_000_000), 10),
  /**
   * What happens between the close of commitments and the aggregate: `plain` decodes every update
   * in the open. Masked sums will be another word here, with messages of their own (spec §3.4).
   */
  exchange: fallback(oneOf("plain"), "plain"),
  /** Windows of the validation split in that evaluation, spread evenly over it. */
  evaluateWindows: fallback(integer(0, EVALUATE_WINDOWS_MAX), 64),
});
export type RoundPolicy = Decoded<typeof roundPolicyDecoder>;

export const budgetDecoder = object({
  tokens: fallback(nullable(integer(1, BUDGET_TOKENS_MAX)), null),
  minutes: fallback(nullable(real(0.01, 1_000_000)), null),
});
export type Budget = Decoded<typeof budgetDecoder>;

/** Bytes that training reads: content-addressed files, in order. */
export const datasetDecoder = object({
  files: list(object({ name: text(256), byteLength: integer(1), root: hex(32) }), {
    min: 1,
    max: DATA_FILES_MAX,
  }),
  /** The last share of the concatenated files is held out, in basis points. */
  validationBps: fallback(integer(1, 5_000), 1_000),
});
export type Dataset = Decoded<typeof datasetDecoder>;

export const fragmentDecoder = object({
  name: text(256),
  shape: list(integer(1, DIMENSION_MAX), { min: 1, max: RANK_MAX }),
  dtype: oneOf("f32"),
});
export type FragmentSpec = Decoded<typeof fragmentDecoder>;

/**
 * What the data's bytes are: `bytes`, each a token; `ids`, tokens of the model's own tokenizer as
 * 32-bit integers, little-endian.
 */
const tokenizerDecoder = oneOf("bytes", "ids");

/** All that the run id covers. */
const frozenRunFields = object({
  protocolVersion: integer(1),
  kernelSet: text(NAME_CHARS_MAX),
  name: line(NAME_CHARS_MAX),
  model: modelDecoder,
  tokenizer: tokenizerDecoder,
  dataset: datasetDecoder,
  recipe: recipeDecoder,
  rounds: roundPolicyDecoder,
  budget: budgetDecoder,
  seed: integer(0),
  fragments: list(fragmentDecoder, { min: 1, max: FRAGMENTS_MAX }),
  initialWeightsRoot: hex(32),
  /** Absent: a model is trained from nothing. */
  tuning: fallback<Tuning | undefined>(tuningDecoder, undefined),
  /** Absent: the run pays nothing. */
  pay: fallback<Pay | undefined>(payDecoder, undefined),
});
type FrozenRunFields = Decoded<typeof frozenRunFields>;
export type FrozenRun = Omit<FrozenRunFields, "tuning" | "pay"> & {
  readonly tuning?: Tuning | undefined;
  readonly pay?: Pay | undefined;
};
export const frozenRunDecoder: Decoder<FrozenRun> = frozenRunFields;

/** What an owner decides; `freezeRun` adds what follows from it. */
export type RunChoices = Omit<FrozenRun, "protocolVersion" | "kernelSet">;

/** The run in its final form: from here on it is never changed. */
export function freezeRun(choices: RunChoices): FrozenRun {
  return { protocolVersion: PROTOCOL_VERSION, kernelSet: KERNEL_SET, ...choices };
}

/** The run's name everywhere: SHA-256 of the canonical frozen run, in hex. */
export type RunId = string;

export function runIdOf(run: FrozenRun): RunId {
  return canonicalHash(run);
}

/** A blob that training reads. */
export type RunBlob = { readonly root: string; readonly byteLength: number };

/** Every blob that training reads: the data's files in their order, then the base file. */
export function blobsOf({ dataset, tuning }: Pick<FrozenRun, "dataset" | "tuning">): RunBlob[] {
  return [...dataset.files, ...(tuning?.method === "lora" ? [tuning.base] : [])];
}

/** Every blob that the run itself names: what training reads, then the model's small files. */
export function namedBlobsOf(run: Pick<FrozenRun, "dataset" | "tuning">): RunBlob[] {
  return [...blobsOf(run), ...(run.tuning?.files ? [run.tuning.files] : [])];
}

/** Tokens that one inner step consumes. */
export function tokensPerStep(recipe: Recipe): number {
  return recipe.batchSequences * recipe.contextLength;
}

type RunRuleFields = Pick<RunChoices, "model" | "recipe" | "budget" | "tokenizer"> & {
  readonly tuning?: Pick<Tuning, "method"> | undefined;
  readonly pay?: Pay | undefined;
};

/** Rules between fields, which no single field's decoder can see. */
export function checkRunRules(run: RunRuleFields): Result<null, DecodeProblem> {
  const rules = [
    ...modelRules(run.model),
    ...tokenizerRules(run),
    ...recipeRules(run),
    ...payRules(run.pay),
  ];
  const broken = rules.find(([holds]) => !holds);
  return broken ? err(broken[1]) : ok(null);
}

function tokenizerRules({ model, tokenizer }: RunRuleFields): readonly Rule[] {
  return [
    [
      tokenizer !== "bytes" || model.vocabSize === 256,
      {
        path: ["model", "vocabSize"],
        found: String(model.vocabSize),
        expected: "256, the vocabulary of the tokenizer `bytes`",
      },
    ],
  ];
}

function recipeRules({ model, recipe, budget, tuning }: RunRuleFields): readonly Rule[] {
  const longest = contextLimitOf(model);
  return [
    [
      recipe.contextLength <= longest,
      {
        path: ["recipe", "contextLength"],
        found: String(recipe.contextLength),
        expected: `at most model.maxPositionEmbeddings = ${longest}`,
      },
    ],
    [
      tokensPerStep(recipe) * recipe.innerSteps <= UPDATE_TOKENS_MAX,
      {
        path: ["recipe", "innerSteps"],
        found: String(recipe.innerSteps),
        expected:
          "batchSequences × contextLength × innerSteps, the tokens of one update, " +
          `≤ ${UPDATE_TOKENS_MAX}`,
      },
    ],
    [
      tuning?.method !== "lora" || recipe.optimizer === "adamw",
      {
        path: ["recipe", "optimizer"],
        found: recipe.optimizer,
        expected: "adamw: adapters are no matrices that Muon could make orthogonal",
      },
    ],
    [
      budget.tokens !== null || budget.minutes !== null,
      { path: ["budget"], found: "neither", expected: "tokens, minutes or both" },
    ],
  ];
}
