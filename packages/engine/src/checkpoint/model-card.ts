// The model card (README.md) of an export: what the model is, how it was made, how to load it.
// It states only what the run measured; it judges nothing.
import {
  architectureOf,
  contextLimit,
  headSize,
  isGpt2,
  keyValueHeads,
  layerCount,
  type ModelConfig,
  parameterCount,
} from "../model/config.ts";
import { BYTE_VOCAB_SIZE } from "../tokenizer/bytes.ts";
import { plain, rowsTable, table } from "./card-text.ts";
import { architectureClass } from "./hf-config-json.ts";

export type ModelCard = {
  /** The run's name, chosen by its owner. */
  readonly name: string;
  readonly runId: string;
  /** An identifier such as "apache-2.0"; null if the owner gave none. */
  readonly license: string | null;
  /** The training files: name, bytes, content address. */
  readonly dataset: readonly {
    readonly name: string;
    readonly byteLength: number;
    readonly root: string;
  }[];
  readonly validationBps: number;
  /** What the run's recipe says, as rows of a table. */
  readonly recipe: Readonly<Record<string, string | number>>;
  readonly tokens: number;
  readonly rounds: number;
  /** Nats per token on the whole validation split; null if it was not measured. */
  readonly valLoss: number | null;
  /** Workers that were credited with tokens. */
  readonly contributors: number;
};

const BPS_PER_PERCENT = 100;

/** The README.md of an exported model: Hugging Face's front matter, then what a person reads. */
export function modelCardText(card: ModelCard, config: ModelConfig): string {
  const sections = [
    frontMatter(card, config),
    heading(card),
    `## Numbers\n\n${table(numbers(card, config))}`,
    `## Data\n\n${dataText(card)}`,
    `## Model\n\n${table(modelRows(config))}`,
    `## Recipe\n\n${table(Object.entries(card.recipe))}`,
    `## Use\n\n${usage(config)}`,
    `## Licence\n\n${licenceText(card)}`,
  ];
  return `${sections.join("\n\n")}\n`;
}

/** YAML that the Hub reads. A JSON string is a YAML string, so no name can break out. */
function frontMatter(card: ModelCard, config: ModelConfig): string {
  const licence = card.license === null ? [] : [`license: ${JSON.stringify(card.license)}`];
  const lines = [
    ...licence,
    "library_name: transformers",
    "pipeline_tag: text-generation",
    `model_name: ${JSON.stringify(card.name)}`,
    "tags:",
    "  - manyhands",
    ...(isByteLevel(config) ? ["  - byte-level"] : []),
    `  - ${architectureOf(config)}`,
  ];
  return `---\n${lines.join("\n")}\n---`;
}

function heading(card: ModelCard): string {
  const people = card.contributors === 1 ? "one device" : `${card.contributors} devices`;
  const made = `Trained from scratch by ${people} in one Manyhands run`;
  const how = "each trained on its own and sent compressed updates, and their mean went to all";
  return `# ${plain(card.name)}\n\n${made}: ${how}.`;
}

function numbers(card: ModelCard, config: ModelConfig): [string, string | number][] {
  const loss: [string, string | number][] =
    card.valLoss === null
      ? []
      : [
          ["validation loss, nats per byte", card.valLoss.toFixed(4)],
          ["validation loss, bits per byte", (card.valLoss / Math.LN2).toFixed(4)],
        ];
  return [
    ["run id", card.runId],
    ...loss,
    ["parameters", parameterCount(config)],
    ["training tokens (bytes)", card.tokens],
    ["rounds", card.rounds],
    ["contributors", card.contributors],
  ];
}

function dataText(card: ModelCard): string {
  const rows = card.dataset.map(({ name, byteLength, root }) => [name, byteLength, root] as const);
  const percent = card.validationBps / BPS_PER_PERCENT;
  const split = `The last ${percent} % of these bytes, joined in this order, were held out`;
  const how = "the validation loss covers all of it, every byte but the first predicted once";
  return `${rowsTable(["file", "bytes", "content address"], rows)}\n\n${split}; ${how}.`;
}

function modelRows(config: ModelConfig): [string, string | number][] {
  const gpt2 = isGpt2(config);
  const [hidden, inner, heads] = gpt2
    ? [config.nEmbd, config.nInner, config.nHead]
    : [config.hiddenSize, config.intermediateSize, config.numAttentionHeads];
  const bytes = isByteLevel(config);
  return [
    ["architecture", architectureClass(config)],
    ["vocabulary", bytes ? `${config.vocabSize} byte values` : config.vocabSize],
    ["context length", contextLimit(config)],
    ["hidden size", hidden],
    ["intermediate size", inner],
    ["layers", layerCount(config)],
    ["attention heads (key-value)", `${heads} (${keyValueHeads(config)})`],
    ...(headSize(config) * heads === hidden
      ? []
      : [["width of a head", headSize(config)] as [string, number]]),
    ["tied embeddings", config.tieWordEmbeddings ? "yes" : "no"],
    ["weights", "float32, safetensors"],
  ];
}

/** Runs that train from nothing have one token per byte value. */
function isByteLevel(config: ModelConfig): boolean {
  return config.vocabSize === BYTE_VOCAB_SIZE;
}

function usage(config: ModelConfig): string {
  return `\`\`\`python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # where this file lies
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
prompt = tokenizer("To be, or not", return_tensors="pt")
text = model.generate(**prompt, max_new_tokens=100)
print(tokenizer.decode(text[0]))
\`\`\`

${tokensText(config)}`;
}

function tokensText(config: ModelConfig): string {
  return isByteLevel(config)
    ? `A token is one byte of UTF-8; there are no special tokens. The model was trained on windows
of at most ${contextLimit(config)} bytes.`
    : `The tokenizer is the one of the model that training began with. Contexts have at most
${contextLimit(config)} tokens.`;
}

function licenceText(card: ModelCard): string {
  return card.license === null
    ? "The run's owner stated none."
    : `Stated by the run's owner: ${plain(card.license)}.`;
}
