// From flags to everything that training needs: the model's folder, its tokenizer, the data as
// tokens, and the recipe. Nothing is computed yet, and nothing is written.
import { availableParallelism } from "node:os";
import { basename, resolve } from "node:path";
import { InputError } from "@manyhands/base/errors";
import { type AdapterConfig, checkAdapterConfig } from "@manyhands/engine/adapters/config";
import { ModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import { type LoadedTextData, loadTextData } from "@manyhands/engine/data/node-text-data";
import { architectureOf, contextLimit, type ModelConfig } from "@manyhands/engine/model/config";
import { BASE_KINDS, type BaseKind } from "@manyhands/engine/quantize/kinds";
import { readTokenizer } from "@manyhands/engine/tokenizer/node-tokenizer";
import type { TextTokenizer } from "@manyhands/engine/tokenizer/text-tokenizer";
import { TUNE_DEFAULTS } from "@manyhands/engine/train/tuner";
import { parseModelReference } from "@manyhands/hub/reference";
import type { ResolvedModel } from "@manyhands/hub/resolve";
import { groupedText } from "../terminal/format.ts";
import type { Io } from "../terminal/io.ts";
import { resolveShown } from "../terminal/resolve-shown.ts";
import { modelFingerprint } from "./base-identity.ts";
import { DEFAULTS, defaultRate, type FinetuneFlags, scheduleOf } from "./flags.ts";
import { chooseMicroBatch } from "./memory.ts";
import type { Method, Recipe } from "./recipe.ts";
import { sha256Text, textAt } from "./run-files.ts";

/** As many as there are cores, where two share one; the other half keeps the machine usable. */
const THREADS = Math.min(availableParallelism(), Math.max(2, availableParallelism() >> 1));

export type Prepared = {
  readonly name: string;
  readonly found: ResolvedModel;
  readonly files: ModelFolder;
  readonly config: ModelConfig;
  readonly tokenizer: TextTokenizer;
  /** A template that was given in place of the model's own. */
  readonly chatTemplate: string | undefined;
  readonly data: LoadedTextData;
  readonly recipe: Recipe;
};

/** @throws InputError, HubError saying what cannot be used */
export async function prepare(flags: FinetuneFlags, io: Io): Promise<Prepared> {
  const name = given(flags.model, "--model <folder or hf:org/name>");
  const paths = given(flags.data, "--data <file>");
  const found = await resolveShown(name, io);
  const files = await ModelFolder.open(found.folder);
  try {
    const { config } = files;
    const chatTemplate = await templateText(flags.chatTemplate);
    const tokenizer = await readTokenizer(found.folder, config.vocabSize, chatTemplate);
    const method = methodOf(flags);
    const adapter = method === "lora" ? adapterOf(flags, config) : null;
    const reading = readingLine(io);
    const data = await loadTextData(paths, {
      tokenizer,
      sequence: sequenceOf(flags, config),
      layout: flags.padded === true ? "padded" : "packed",
      loss: flags.loss === "all" ? "all" : "assistant",
      author: flags.controlTokens === true ? "control" : "text",
      seed: flags.seed ?? 0,
      validationShare: flags.validation ?? DEFAULTS.validation,
      strict: flags.strict === true,
      onProgress: reading.show,
    });
    reading.end();
    const model = {
      name: modelName(name),
      commit: found.commit ?? null,
      fingerprint: await modelFingerprint(found.folder),
    };
    const chatHash = chatTemplate === undefined ? null : sha256Text(chatTemplate);
    const parts = { model, method, adapter, chatTemplateSha256: chatHash };
    const recipe = recipeOf(flags, { ...parts, config, data });
    return { name, found, files, config, tokenizer, chatTemplate, data, recipe };
  } catch (caught) {
    await files.close();
    throw caught;
  }
}

/** A repository as it is named, a folder by its last name: where it lies is nobody's business. */
function modelName(name: string): string {
  const reference = parseModelReference(name);
  return reference.kind === "hub" ? name : basename(resolve(reference.path));
}

/** On a terminal, how many documents are read: large files take a while. */
function readingLine({ stderr }: Io): { show(documents: number): void; end(): void } {
  let shown = 0;
  return {
    show: (documents) => {
      if (!stderr.isTTY || documents < shown + DOCUMENTS_SHOWN) return;
      shown = documents;
      stderr.write(`\rreading the data: ${groupedText(documents)} documents\u001b[K`);
    },
    end: () => {
      if (shown > 0) stderr.write("\r\u001b[K");
    },
  };
}

const DOCUMENTS_SHOWN = 500;

type RecipeParts = Pick<Recipe, "model" | "method" | "adapter" | "chatTemplateSha256"> & {
  readonly config: ModelConfig;
  readonly data: LoadedTextData;
};

function recipeOf(flags: FinetuneFlags, parts: RecipeParts): Recipe {
  const { model, method, adapter, chatTemplateSha256, config, data } = parts;
  const { batch = DEFAULTS.batch } = flags;
  const { sequence } = data.train;
  const base = baseOf(flags, method, config);
  const shape = { config, base, adapter, sequence };
  const microBatch = flags.microBatch ?? chooseMicroBatch(batch, shape, flags.memory);
  if (batch % microBatch !== 0) {
    throw new InputError(`--batch ${batch} is no multiple of --micro-batch ${microBatch}`, {
      hint: "a step is whole micro-batches; their gradients are added up",
    });
  }
  const epochs = flags.epochs ?? DEFAULTS.epochs;
  const steps = flags.steps ?? Math.max(1, Math.ceil((epochs * data.train.rowsPerEpoch) / batch));
  const clip = flags.clip ?? TUNE_DEFAULTS.gradientNormMax;
  return {
    format: 1,
    model,
    method,
    base,
    adapter,
    data: data.files.map(({ name, format, bytes, lines, sha256 }) => {
      return { name, format, bytes, lines, sha256 };
    }),
    layout: flags.padded === true ? "padded" : "packed",
    loss: flags.loss === "all" ? "all" : "assistant",
    author: flags.controlTokens === true ? "control" : "text",
    chatTemplateSha256,
    validationShare: flags.validation ?? DEFAULTS.validation,
    sequence,
    batch,
    microBatch,
    steps,
    learningRate: flags.rate ?? defaultRate(method),
    schedule: scheduleOf(flags, steps),
    optimizer: {
      ...TUNE_DEFAULTS,
      weightDecay: flags.weightDecay ?? TUNE_DEFAULTS.weightDecay,
      gradientNormMax: clip === 0 ? Number.MAX_VALUE : clip,
    },
    seed: flags.seed ?? 0,
    threads: flags.threads ?? THREADS,
  };
}

function methodOf(flags: FinetuneFlags): Method {
  return flags.method === "full" ? "full" : "lora";
}

function baseOf(flags: FinetuneFlags, method: Method, config: ModelConfig): BaseKind {
  const asked = BASE_KINDS.find((kind) => kind === flags.base);
  if (method === "full") {
    if (asked === undefined || asked === "f32") return "f32";
    throw new InputError(`--method full trains all weights, so there is no base in ${asked}`, {
      hint: "leave out --base, or train adapters with --method lora",
    });
  }
  return asked ?? (architectureOf(config) === "bitnet" ? "ternary" : "nf4");
}

function adapterOf(flags: FinetuneFlags, config: ModelConfig): AdapterConfig {
  const r = flags.rank ?? DEFAULTS.rank;
  const { targets = "all-linear" } = flags;
  const names = targets.split(",").map((name) => name.trim());
  const adapter: AdapterConfig = {
    r,
    loraAlpha: flags.alpha ?? 2 * r,
    targetModules: targets === "all-linear" ? targets : names.filter((name) => name !== ""),
    ...(flags.dropout ? { loraDropout: flags.dropout } : {}),
    ...(flags.rslora === true ? { useRslora: true } : {}),
    ...(flags.dora === true ? { useDora: true } : {}),
  };
  checkAdapterConfig(config, adapter);
  return adapter;
}

function sequenceOf(flags: FinetuneFlags, config: ModelConfig): number {
  const limit = contextLimit(config);
  const { sequence } = flags;
  if (sequence === undefined) return Math.min(DEFAULTS.sequence, limit);
  if (sequence <= limit) return sequence;
  throw new InputError(`--sequence ${sequence} is longer than this model can read`, {
    hint: `at most ${limit} tokens`,
  });
}

async function templateText(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const text = await textAt(path);
  if (text !== undefined) return text;
  throw new InputError(`there is no chat template ${path}`, { hint: "name a Jinja file" });
}

function given<T>(value: T | undefined, flag: string): T {
  if (value !== undefined) return value;
  throw new InputError(`finetune needs ${flag}`, {
    hint: "manyhands finetune --help shows an example",
  });
}
