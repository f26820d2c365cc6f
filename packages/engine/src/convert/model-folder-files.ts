// A whole model as a folder that transformers loads: safetensors, in shards where they are big,
// config, tokenizer, card. Node only. Weights are read and written tensor by tensor.
import { copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { utf8 } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { encodeFloats, type FloatType } from "../checkpoint/encode-values.ts";
import { readModelText } from "../checkpoint/model-files.ts";
import { fillFolder, writeDurably } from "../checkpoint/node-folder.ts";
import { DTYPE_BYTES, safetensorsHead, type TensorLine } from "../checkpoint/safetensors.ts";
import { fieldsOf } from "../gguf/json.ts";
import { type ModelConfig, type ParameterPlace, parameterPlaces } from "../model/config.ts";
import { copyTokenizer } from "../peft/adapter-folder.ts";
import type { WeightSource } from "../quantize/base-model.ts";
import { TOKENIZER_FILES } from "../tokenizer/tokenizer-files.ts";
import { writeWhole } from "./file-sink.ts";

export const MODEL_TYPES = ["f32", "f16", "bf16"] as const;
export type ModelType = (typeof MODEL_TYPES)[number];

export type ModelFolderOptions = {
  readonly source: WeightSource;
  /** The folder whose config.json, generation_config.json and tokenizer files are taken over. */
  readonly base: string;
  readonly target: string;
  readonly dtype: ModelType;
  /** The text of README.md. */
  readonly card?: string | undefined;
  /** A file has at most so many bytes of tensors, if each tensor fits. */
  readonly shardBytes?: number | undefined;
  readonly onProgress?: ((bytes: number, total: number) => void) | undefined;
};

export type WrittenModel = { readonly bytes: number; readonly files: readonly string[] };

/** Hugging Face's own tools cut files at this size. */
const SHARD_BYTES = 5e9;
const CONFIG_BYTES_MAX = 16 << 20;
const GENERATION = "generation_config.json";
const INDEX = "model.safetensors.index.json";
const STORED: Readonly<Record<ModelType, FloatType>> = { f32: "F32", f16: "F16", bf16: "BF16" };
const TORCH: Readonly<Record<ModelType, string>> = {
  f32: "float32",
  f16: "float16",
  bf16: "bfloat16",
};

/**
 * Writes the folder: complete, or as it was before.
 *
 * @throws InputError  if the target holds something else, or a weight does not fit the type
 * @throws ExportError if the disk refuses
 */
export async function writeModelFolder(options: ModelFolderOptions): Promise<WrittenModel> {
  refuseTernary(options.source.config, options.dtype);
  const shards = shardsOf(options);
  const total = shards.reduce((sum, { bytes }) => sum + bytes, 0);
  const names = new Set(await readdir(options.base));
  const config = await configText(options);
  await fillFolder(options.target, isModelFile, async (fresh) => {
    await writeDurably(join(fresh, "config.json"), utf8(config));
    if (names.has(GENERATION)) {
      await copyFile(join(options.base, GENERATION), join(fresh, GENERATION));
    }
    await copyTokenizer(options.base, fresh);
    const { card } = options;
    if (card !== undefined) await writeDurably(join(fresh, "README.md"), utf8(card));
    if (shards.length > 1) {
      await writeDurably(join(fresh, INDEX), utf8(indexText(shards, total)));
    }
    let done = 0;
    for (const shard of shards) {
      await writeShard(join(fresh, shard.name), shard, options, (bytes) => {
        done += bytes;
        options.onProgress?.(done, total);
      });
    }
  });
  return { bytes: total, files: shards.map(({ name }) => name) };
}

/** Whatever a folder of a model may hold: such a folder may be replaced. */
function isModelFile(name: string): boolean {
  if (/^model(-\d{5}-of-\d{5})?\.safetensors$/.test(name)) return true;
  return ["config.json", GENERATION, INDEX, "README.md", ...TOKENIZER_FILES].includes(name);
}

/** Weights that are −s, 0 or s with the scale in another tensor need files of their own kind. */
function refuseTernary(config: ModelConfig, dtype: ModelType): void {
  if (!("bitLinear" in config) || config.bitLinear !== "offline") return;
  throw new InputError(`a BitNet with packed weights cannot be written as ${dtype}`, {
    hint: "keep its folder, and the adapter beside it",
  });
}

type Shard = {
  readonly name: string;
  readonly places: readonly ParameterPlace[];
  readonly bytes: number;
};

function shardsOf({
  source,
  dtype,
  shardBytes = SHARD_BYTES,
}: ModelFolderOptions): readonly Shard[] {
  const width = DTYPE_BYTES[STORED[dtype]];
  const groups: { places: ParameterPlace[]; bytes: number }[] = [];
  for (const place of parameterPlaces(source.config)) {
    const bytes = place.size * width;
    const last = groups.at(-1);
    if (last && last.bytes + bytes <= shardBytes) {
      last.places.push(place);
      last.bytes += bytes;
    } else {
      groups.push({ places: [place], bytes });
    }
  }
  const count = String(groups.length).padStart(5, "0");
  return groups.map((group, index) => {
    const own = `model-${String(index + 1).padStart(5, "0")}-of-${count}.safetensors`;
    return { ...group, name: groups.length === 1 ? "model.safetensors" : own };
  });
}

function indexText(shards: readonly Shard[], total: number): string {
  const entries = shards.flatMap(({ name, places }) =>
    places.map((place) => [place.name, name] as const),
  );
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(entries) };
  return `${JSON.stringify(index, null, 2)}\n`;
}

async function writeShard(
  path: string,
  { places }: Shard,
  { source, dtype }: ModelFolderOptions,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const stored = STORED[dtype];
  const lines: TensorLine[] = places.map(({ name, shape }) => ({ name, shape, dtype: stored }));
  await writeWhole(path, async (write) => {
    await write(safetensorsHead(lines, { format: "pt" }));
    for (const place of places) {
      const values = new Float32Array(place.size);
      await source.readParameter(place, values);
      checkRange(place.name, values, dtype);
      const bytes = encodeFloats(values, stored);
      await write(bytes);
      onBytes(bytes.length);
    }
  });
}

/** The greatest finite half float. */
const HALF_MAX = 65_504;

function checkRange(name: string, values: Float32Array, dtype: ModelType): void {
  if (dtype !== "f16" || values.every((value) => Math.abs(value) <= HALF_MAX)) return;
  throw new InputError(`${name} has a weight beyond ${HALF_MAX}, which f16 cannot hold`, {
    hint: "choose bf16 or f32",
  });
}

/** The base's config.json with another type of numbers. */
async function configText({ base, dtype }: ModelFolderOptions): Promise<string> {
  const fields = fieldsOf(
    JSON.parse(await readModelText(join(base, "config.json"), CONFIG_BYTES_MAX)),
  );
  const { torch_dtype: _, ...others } = fields;
  // Both names: transformers 4 reads the older one.
  const types = { dtype: TORCH[dtype], torch_dtype: TORCH[dtype] };
  return `${JSON.stringify({ ...others, ...types }, null, 2)}\n`;
}
