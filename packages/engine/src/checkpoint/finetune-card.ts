// The model card (README.md) of a fine-tuned model or adapter: base, data, recipe, losses, licence,
// and how to use it in three tools. It states what was measured; it judges nothing.
import { type Cell, plain, rowsTable, table } from "./card-text.ts";

export type FinetuneCard = {
  readonly name: string;
  readonly base: {
    /** "org/name" on the hub, or a folder's name. */
    readonly name: string;
    readonly commit?: string | undefined;
    /** As the base's own card states it; null if it does not. */
    readonly license: string | null;
  };
  /** An adapter beside its base, or a model with all its weights. */
  readonly kind: "adapter" | "model";
  /** Hugging Face's model_type. */
  readonly architecture: string;
  readonly data: readonly {
    readonly name: string;
    /** "text", "messages", "prompt and completion". */
    readonly format: string;
    readonly examples: number;
    readonly tokens: number;
    readonly sha256?: string | undefined;
  }[];
  /** Settings by name, as rows of a table. */
  readonly recipe: Readonly<Record<string, string | number | boolean>>;
  readonly losses: {
    /** Nats per counted token on the held-out part: the base's, and after training. */
    readonly baseValidation?: number | undefined;
    readonly validation?: number | undefined;
    readonly training?: number | undefined;
    readonly steps: number;
    /** Counted tokens that training saw. */
    readonly tokens: number;
  };
  /** Whether the base's tokenizer has a chat template. */
  readonly chatTemplate: boolean;
  /** What the owner says of the result; null if nothing. */
  readonly license: string | null;
  /** Devices that trained. */
  readonly devices: number;
};

/** Architectures that llama.cpp runs from what `manyhands gguf` writes. */
const LLAMA_CPP = new Set(["llama", "qwen2", "qwen3", "gemma3_text", "gpt2"]);

/** The README.md: Hugging Face's front matter, then what a person reads. */
export function finetuneCardText(card: FinetuneCard): string {
  const sections = [
    frontMatter(card),
    heading(card),
    `## Losses\n\n${table(lossRows(card))}`,
    `## Data\n\n${dataTable(card)}`,
    `## Recipe\n\n${table(recipeRows(card))}`,
    `## Use\n\n${usage(card)}`,
    `## Licence\n\n${licence(card)}`,
  ];
  return `${sections.join("\n\n")}\n`;
}

export type MergedCard = {
  readonly name: string;
  readonly base: { readonly name: string; readonly commit?: string | undefined };
  /** As the base's card states it; null if it does not. */
  readonly license: string | null;
  /** The adapter's own README.md, or an empty text. */
  readonly adapterCard: string;
};

/** The README.md of a base with its adapter merged in: what it is, and the adapter's own card. */
export function mergedCardText({ name, base, license, adapterCard }: MergedCard): string {
  const card = { name, base: { ...base, license }, kind: "model" as const, license: null };
  const commit = base.commit === undefined ? "" : ` (commit ${plain(base.commit)})`;
  const body = adapterCard.replace(FRONT_MATTER, "").trim();
  const sections = [
    frontMatter(card),
    `# ${plain(name)}\n\n${plain(base.name)}${commit} with a LoRA adapter merged into its weights.`,
    `## Licence\n\n${licence(card)}`,
    ...(body === "" ? [] : [`## The adapter's card\n\n${body.replace(/^#/gm, "##")}`]),
  ];
  return `${sections.join("\n\n")}\n`;
}

type Front = Pick<FinetuneCard, "name" | "base" | "kind" | "license">;

/** YAML that the Hub reads. A JSON string is a YAML string, so no name can break out. */
function frontMatter(card: Front): string {
  const license = card.license ?? card.base.license;
  const hub = /^[\w.-]+\/[\w.-]+$/.test(card.base.name);
  const lines = [
    ...(license === null ? [] : [`license: ${JSON.stringify(license)}`]),
    ...(hub ? [`base_model: ${JSON.stringify(card.base.name)}`] : []),
    ...(hub ? [`base_model_relation: ${card.kind === "adapter" ? "adapter" : "finetune"}`] : []),
    `library_name: ${card.kind === "adapter" ? "peft" : "transformers"}`,
    "pipeline_tag: text-generation",
    `model_name: ${JSON.stringify(card.name)}`,
    "tags:",
    "  - manyhands",
    ...(card.kind === "adapter" ? ["  - lora"] : []),
  ];
  return `---\n${lines.join("\n")}\n---`;
}

function heading({ name, kind, base, devices }: FinetuneCard): string {
  const commit = base.commit === undefined ? "" : ` (commit ${plain(base.commit)})`;
  const what = kind === "adapter" ? "A LoRA adapter for" : "All weights, fine-tuned, of";
  const who = devices === 1 ? "one device" : `${devices} devices together`;
  const text = `${what} ${plain(base.name)}${commit}, trained with Manyhands by ${who}.`;
  return `# ${plain(name)}\n\n${text}`;
}

function lossRows({ losses }: FinetuneCard): [Cell, Cell][] {
  const { baseValidation, validation, training, steps, tokens } = losses;
  const row = (label: string, value: number | undefined): [Cell, Cell][] =>
    value === undefined || !Number.isFinite(value) ? [] : [[label, value.toFixed(4)]];
  return [
    ...row("held out, base, nats per token", baseValidation),
    ...row("held out, after training, nats per token", validation),
    ...(baseValidation !== undefined && validation !== undefined
      ? [["change", change(baseValidation, validation)] as [Cell, Cell]]
      : []),
    ...row("training, last steps, nats per token", training),
    ["steps", steps],
    ["counted tokens", tokens],
  ];
}

function change(before: number, after: number): string {
  const percent = 100 * (after / before - 1);
  return `${percent > 0 ? "+" : "−"}${Math.abs(percent).toFixed(1)} %`;
}

function dataTable({ data }: FinetuneCard): string {
  const rows = data.map(({ name, format, examples, tokens, sha256 }) => {
    return [name, format, examples, tokens, sha256 ?? ""] as const;
  });
  return rowsTable(["file", "format", "examples", "tokens", "SHA-256"], rows);
}

function recipeRows({ recipe }: FinetuneCard): [Cell, Cell][] {
  return Object.entries(recipe).map(([name, value]) => {
    return [name, typeof value === "boolean" ? (value ? "yes" : "no") : value];
  });
}

function usage(card: FinetuneCard): string {
  const transformers = card.kind === "adapter" ? peftUse(card) : transformersUse(card);
  return [`### ${transformers}`, `### ${llamaUse(card)}`, `### ${manyhandsUse(card)}`].join("\n\n");
}

/** Code holds names as JSON strings: they are Python's strings too. */
function peftUse({ base, chatTemplate }: FinetuneCard): string {
  return `transformers and peft

\`\`\`python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = ${codeText(base.name)}
folder = "."  # where this file lies
tokenizer = AutoTokenizer.from_pretrained(base)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
${generation(chatTemplate)}
\`\`\``;
}

function transformersUse({ chatTemplate }: FinetuneCard): string {
  return `transformers

\`\`\`python
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = "."  # where this file lies
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
${generation(chatTemplate)}
\`\`\``;
}

function generation(chatTemplate: boolean): string {
  const prompt = chatTemplate
    ? `chat = [{"role": "user", "content": "Hello!"}]
prompt = tokenizer.apply_chat_template(
    chat, add_generation_prompt=True, return_dict=True, return_tensors="pt"
)`
    : 'prompt = tokenizer("Once upon a time", return_tensors="pt")';
  return `${prompt}
text = model.generate(**prompt, max_new_tokens=100)
print(tokenizer.decode(text[0]))`;
}

function llamaUse({ base, kind, architecture }: FinetuneCard): string {
  if (!LLAMA_CPP.has(architecture)) {
    return `llama.cpp

llama.cpp does not compute ${plain(architecture)} as this model needs it.`;
  }
  const words = kind === "adapter" ? `${shellText(reference(base))} --adapter .` : ".";
  return `llama.cpp

\`\`\`sh
npx manyhands gguf ${words} --type q8_0 --out model.gguf
llama-cli -m model.gguf
\`\`\``;
}

function manyhandsUse({ base, kind }: FinetuneCard): string {
  const merge = `npx manyhands merge ${shellText(reference(base))} --adapter . --out merged`;
  const more = "npx manyhands finetune --model . --data more.jsonl";
  return `manyhands

\`\`\`sh
${kind === "adapter" ? merge : more}
\`\`\``;
}

/** How manyhands names a base: a repository of the hub at its commit, or a folder. */
function reference({ name, commit }: FinetuneCard["base"]): string {
  if (!/^[\w.-]+\/[\w.-]+$/.test(name)) return name;
  return commit === undefined ? `hf:${name}` : `hf:${name}@${commit}`;
}

/** A string in Python; no fence of Markdown can end in it. */
function codeText(text: string): string {
  return JSON.stringify(text).replaceAll("`", "\\u0060");
}

/** A word in a shell, quoted if it must be; on one line, and without a fence. */
function shellText(text: string): string {
  const line = text.replace(/[\p{C}`]+/gu, " ");
  return /^[\w./:@-]+$/.test(line) ? line : `'${line.replaceAll("'", "'\\''")}'`;
}

function licence({ base, license }: Front): string {
  const own = license === null ? "The owner stated none for this result." : plain(license);
  const theirs =
    base.license === null
      ? "The base's card states no licence: look it up before you pass this on."
      : `The base's card states ${plain(base.license)}, which holds for what is made of it too.`;
  return `${own}\n\n${theirs}`;
}

const FRONT_MATTER = /^---\r?\n([\s\S]*?)\r?\n---/;

/** The licence that a README.md states in its front matter; null if it states none. */
export function licenseOfReadme(text: string): string | null {
  const [, front = ""] = FRONT_MATTER.exec(text.slice(0, 100_000)) ?? [];
  const [, value = ""] = /^license:[ \t]*(\S.*?)[ \t]*$/m.exec(front) ?? [];
  const name = value.replace(/^(["'])(.*)\1$/, "$2");
  return /^[\w.+-]{1,100}$/.test(name) ? name : null;
}
