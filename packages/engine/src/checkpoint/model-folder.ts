// A folder as Hugging Face's tools write one (config.json, one or more safetensors files) as our
// config and flat weights. Node only. Weights are read tensor by tensor, so that who quantises them
// never holds them all.
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { defined } from "@manyhands/base/assert";
import { isGpt2, type ModelConfig, type ParameterSpec, parameterPlaces } from "../model/config.ts";
import { type ModelFileConfig, parseModelFileConfig, type TernaryScale } from "./hf-config.ts";
import type { ImportedModel } from "./import.ts";
import { findTensors, ModelFileError, type PlacedTensor, readModelText } from "./model-files.ts";
import { DTYPE_BYTES } from "./safetensors.ts";
import { decodeFloats, decodeTernary } from "./stored-values.ts";

/** Bytes of a tensor that are read and decoded at a time. */
const CHUNK_BYTES = 8 << 20;
const PACKED_ROWS = 4;

/**
 * Buffers that older checkpoints store although they are computed: masks, and RoPE's frequencies.
 */
const COMPUTED = /(\.attn\.(bias|masked_bias)|\.rotary_emb\.inv_freq)$/;
const TIED_HEAD = "lm_head.weight";

/** Where a parameter's values lie, and what they are multiplied by. */
type Source = { readonly tensor: PlacedTensor; readonly scale?: PlacedTensor | undefined };

export class ModelFolder {
  readonly folder: string;
  readonly config: ModelConfig;
  /** The model files' bytes. */
  readonly bytes: number;
  /** How the weights are stored: one type, or several with commas. */
  readonly dtype: string;
  /** Tensors that the files have and the model does not need. */
  readonly ignored: readonly string[];
  readonly #ternary: TernaryScale | undefined;
  readonly #sources: ReadonlyMap<string, Source>;
  readonly #handles = new Map<string, Promise<FileHandle>>();

  private constructor(folder: string, file: ModelFileConfig, matched: Matched) {
    this.folder = folder;
    this.config = file.config;
    this.ignored = matched.ignored;
    this.#ternary = file.ternary;
    this.#sources = matched.sources;
    const tensors = [...matched.sources.values()].map(({ tensor }) => tensor);
    this.bytes = tensors.reduce((sum, { begin, end }) => sum + end - begin, 0);
    this.dtype = [...new Set(tensors.map(({ dtype }) => dtype))].join(", ");
  }

  /**
   * Checks config and headers against each other: every tensor that the model needs, with its shape
   * and a type that can be read, and no other. No weights are read yet.
   *
   * @throws ModelFileError says which file, which tensor and why
   */
  static async open(folder: string): Promise<ModelFolder> {
    const path = join(folder, "config.json");
    const parsed = parseModelFileConfig(await readModelText(path, CONFIG_BYTES_MAX));
    if (!parsed.ok) {
      const reason = parsed.error.replace(/^config\.json:? /, "");
      throw new ModelFileError({ code: "import/config", file: path, reason, hint: CONFIG_HINT });
    }
    const { tensors } = await findTensors(folder);
    return new ModelFolder(folder, parsed.value, matchTensors(folder, parsed.value, tensors));
  }

  /**
   * One parameter's values as float32, in row-major order.
   *
   * @throws ModelFileError if a value is not finite, or the file became shorter
   */
  async readParameter({ name, shape }: ParameterSpec, into: Float32Array): Promise<void> {
    const { tensor, scale } = defined(this.#sources.get(name), `${name} is a parameter`);
    if (tensor.dtype === "U8") {
      await this.#readTernary(tensor, { shape, scale: await this.#scale(scale), into });
    } else {
      await this.#readFloats(tensor, into);
      const factor = scale ? await this.#scale(scale) : 1;
      if (factor !== 1)
        for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) * factor;
    }
  }

  /** All weights, flat, in the order of parameterSpecs(config). */
  async readWeights(): Promise<Float32Array> {
    const places = parameterPlaces(this.config);
    const last = places.at(-1);
    const weights = new Float32Array(last ? last.offset + last.size : 0);
    for (const place of places) {
      const own = weights.subarray(place.offset, place.offset + place.size);
      await this.readParameter(place, own);
    }
    return weights;
  }

  async close(): Promise<void> {
    const handles = await Promise.all(this.#handles.values());
    this.#handles.clear();
    await Promise.all(handles.map((handle) => handle.close()));
  }

  async #readFloats(tensor: PlacedTensor, into: Float32Array): Promise<void> {
    const width = DTYPE_BYTES[tensor.dtype];
    const step = CHUNK_BYTES / width;
    for (let start = 0; start < into.length; start += step) {
      const part = into.subarray(start, start + step);
      const bytes = await this.#bytes(tensor, start * width, part.length * width);
      decodeFloats(bytes, tensor.dtype, part);
      if (!allFinite(part)) {
        const fault = {
          code: "import/not-finite",
          file: tensor.path,
          tensor: tensor.name,
        } as const;
        throw new ModelFileError({ ...fault, reason: "it has a value that is not finite" });
      }
    }
  }

  async #readTernary(
    tensor: PlacedTensor,
    to: { readonly shape: readonly number[]; readonly scale: number; readonly into: Float32Array },
  ): Promise<void> {
    const packed = await this.#bytes(tensor, 0, tensor.end - tensor.begin);
    if (!decodeTernary(packed, to.shape, to)) {
      const fault = { code: "import/value", file: tensor.path, tensor: tensor.name } as const;
      throw new ModelFileError({ ...fault, reason: "two bits say 3; ternary values are 0, 1, 2" });
    }
  }

  /** What ternary values are multiplied by. */
  async #scale(tensor: PlacedTensor | undefined): Promise<number> {
    if (!tensor) return 1;
    const value = new Float32Array(1);
    await this.#readFloats(tensor, value);
    const [scale = 0] = value;
    const factor = this.#ternary === "divides" ? 1 / scale : scale;
    if (Number.isFinite(factor) && factor !== 0) return factor;
    const fault = { code: "import/value", file: tensor.path, tensor: tensor.name } as const;
    throw new ModelFileError({ ...fault, reason: `${scale} is no scale` });
  }

  async #bytes(tensor: PlacedTensor, start: number, length: number): Promise<Uint8Array> {
    const handle = this.#handles.get(tensor.path) ?? open(tensor.path, "r");
    this.#handles.set(tensor.path, handle);
    const file = await handle;
    const bytes = new Uint8Array(length);
    for (let filled = 0; filled < length; ) {
      const position = tensor.position + start + filled;
      const { bytesRead } = await file.read(bytes, filled, length - filled, position);
      if (bytesRead === 0) {
        const fault = { code: "import/changed", file: tensor.path, tensor: tensor.name } as const;
        throw new ModelFileError({ ...fault, reason: "the file became shorter while it was read" });
      }
      filled += bytesRead;
    }
    return bytes;
  }
}

/** The model in a folder, with all its weights as float32. @throws ModelFileError */
export async function importModelFolder(folder: string): Promise<ImportedModel> {
  const model = await ModelFolder.open(folder);
  try {
    return { config: model.config, weights: await model.readWeights() };
  } finally {
    await model.close();
  }
}

const CONFIG_BYTES_MAX = 16 << 20;
const CONFIG_HINT = "only what this engine computes exactly as transformers does is read";

function allFinite(values: Float32Array): boolean {
  // An infinity or NaN makes the sum of x · 0 a NaN, without a branch per value.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) * 0;
  return sum === 0;
}

type Matched = {
  readonly sources: ReadonlyMap<string, Source>;
  readonly ignored: readonly string[];
};

/** Each parameter's tensor; tensors that are no parameter are refused, but for computed ones. */
function matchTensors(
  folder: string,
  file: ModelFileConfig,
  tensors: ReadonlyMap<string, PlacedTensor>,
): Matched {
  const rest = new Map(tensors);
  const take = (name: string): PlacedTensor | undefined => {
    const found = namesOf(file.config, name).find((each) => rest.has(each));
    const tensor = found === undefined ? undefined : rest.get(found);
    if (found !== undefined) rest.delete(found);
    return tensor;
  };
  const sources = new Map<string, Source>();
  for (const spec of parameterPlaces(file.config)) {
    const tensor = take(spec.name);
    if (!tensor) {
      const fault = { code: "import/missing", file: folder, tensor: spec.name } as const;
      throw new ModelFileError({ ...fault, reason: "the model needs it, and no file has it" });
    }
    const scale = file.ternary && isTernary(spec) ? take(`${spec.name}_scale`) : undefined;
    checkTensor(spec, tensor, scale);
    sources.set(spec.name, { tensor, scale });
  }
  const unknown = [...rest.values()].find(({ name }) => !isIgnored(file.config, name));
  if (!unknown) return { sources, ignored: [...rest.keys()] };
  const fault = { code: "import/unknown", file: unknown.path, tensor: unknown.name } as const;
  throw new ModelFileError({
    ...fault,
    reason: "the model that config.json describes has no such",
  });
}

/** Hugging Face saves GPT-2 also without its head, and then without "transformer.". */
function namesOf(config: ModelConfig, name: string): readonly string[] {
  return isGpt2(config) ? [name, name.replace(/^transformer\./, "")] : [name];
}

/** A head that is the embedding may be stored again. */
function isIgnored(config: ModelConfig, name: string): boolean {
  return COMPUTED.test(name) || (config.tieWordEmbeddings && name === TIED_HEAD);
}

function isTernary({ name, shape }: ParameterSpec): boolean {
  return shape.length === 2 && name.startsWith("model.layers.");
}

function checkTensor(
  { shape }: ParameterSpec,
  tensor: PlacedTensor,
  scale: PlacedTensor | undefined,
): void {
  const fault = { file: tensor.path, tensor: tensor.name } as const;
  const packed = tensor.dtype === "U8";
  if (packed && !scale) {
    const reason = "its type is U8; only ternary matrices with a weight_scale are read as bytes";
    throw new ModelFileError({ ...fault, code: "import/dtype", reason });
  }
  const [rows = 0, ...others] = shape;
  const stored = packed ? [rows / PACKED_ROWS, ...others] : shape;
  if (tensor.shape.join() !== stored.join()) {
    const found = `expected (${stored.join(", ")}), found (${tensor.shape.join(", ")})`;
    throw new ModelFileError({ ...fault, code: "import/shape", reason: `its shape: ${found}` });
  }
  if (scale && (scale.shape.join() !== "1" || scale.dtype === "U8")) {
    const reason = "a weight_scale is one number";
    throw new ModelFileError({
      code: "import/shape",
      file: scale.path,
      tensor: scale.name,
      reason,
    });
  }
}
