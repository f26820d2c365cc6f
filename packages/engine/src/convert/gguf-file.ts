// A model folder as one GGUF file, with an adapter merged in if there is one: read, changed and
// written tensor by tensor. Node only. The format is in gguf/.
import { open } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { InputError } from "@manyhands/base/errors";
import { ModelFolder } from "../checkpoint/model-folder.ts";
import { type BlockType, bytesOf, encodeBlocks, fitsBlocks } from "../gguf/blocks.ts";
import { type GgufTensor, ggufHead, paddingAfter } from "../gguf/format.ts";
import { modelMetadata, ropeFactors } from "../gguf/metadata.ts";
import { changed, ggufTensors, type NamedTensor } from "../gguf/names.ts";
import { vocabularyMetadata } from "../gguf/vocabulary.ts";
import type { ModelConfig } from "../model/config.ts";
import type { WeightSource } from "../quantize/base-model.ts";
import { type Write, writeWhole } from "./file-sink.ts";
import { readVocabularyFiles } from "./tokenizer-files.ts";
import { type AdapterChoice, withAdapter } from "./weight-source.ts";

export const GGUF_TYPES = ["f32", "f16", "q8_0", "q4_0"] as const;
export type GgufType = (typeof GGUF_TYPES)[number];

export type GgufOptions = {
  /** The model's folder. */
  readonly model: string;
  readonly adapter?: AdapterChoice | undefined;
  /** The file to write; an earlier GGUF file there is replaced. */
  readonly target: string;
  readonly type: GgufType;
  readonly onProgress?: ((bytes: number, total: number) => void) | undefined;
};

export type GgufResult = {
  readonly bytes: number;
  readonly tensors: number;
  /** Matrices whose rows are no whole blocks: stored as F16 instead. */
  readonly unblocked: readonly string[];
};

const BLOCKS: Readonly<Record<GgufType, BlockType>> = {
  f32: "F32",
  f16: "F16",
  q8_0: "Q8_0",
  q4_0: "Q4_0",
};

/**
 * Writes the file: complete or not at all.
 *
 * @throws InputError  if llama.cpp cannot run such a model, or the target is something else's file
 * @throws ModelFileError if a file of the model or of the adapter is broken
 * @throws ExportError if the disk refuses
 */
export async function writeGguf(options: GgufOptions): Promise<GgufResult> {
  await checkTarget(options.target);
  const folder = await ModelFolder.open(options.model);
  try {
    const source = await withAdapter(folder, options.adapter);
    const plan = await planOf(folder.config, options);
    let done = plan.head.bytes.length;
    await writeWhole(options.target, async (write) => {
      await write(plan.head.bytes);
      for (const tensor of plan.tensors) {
        done += await writeTensor(tensor, source, write);
        options.onProgress?.(done, plan.head.fileBytes);
      }
    });
    return {
      bytes: plan.head.fileBytes,
      tensors: plan.tensors.length,
      unblocked: plan.tensors.filter(({ unblocked }) => unblocked).map(({ name }) => name),
    };
  } finally {
    await folder.close();
  }
}

type Planned = GgufTensor & {
  readonly unblocked: boolean;
  /** A parameter, or numbers that are there already. */
  readonly from: NamedTensor | Float32Array;
};
type Plan = { readonly head: ReturnType<typeof ggufHead>; readonly tensors: readonly Planned[] };

async function planOf(config: ModelConfig, { model, type }: GgufOptions): Promise<Plan> {
  const refuse = (reason: string): InputError =>
    new InputError(`${model} cannot become a GGUF file: ${reason}`, {
      hint: "use it with transformers or manyhands instead; both read the folder as it is",
    });
  const name = basename(resolve(model));
  const shape = modelMetadata(config, { name, type: BLOCKS[type] });
  if (!shape.ok) throw refuse(shape.error);
  const places = ggufTensors(config);
  const vocabSize = config.vocabSize;
  const vocabulary = vocabularyMetadata(await readVocabularyFiles(model, vocabSize), vocabSize);
  if (!vocabulary.ok) throw refuse(vocabulary.error);
  const tensors = places.map((each): Planned => {
    const wanted = storedType(each, BLOCKS[type]);
    const unblocked = !fitsBlocks(wanted, each.shape);
    return {
      ...{ name: each.name, shape: each.shape, from: each },
      ...{ type: unblocked ? "F16" : wanted, unblocked },
    };
  });
  const factors = ropeFactors(config);
  if (factors) {
    const own = { name: "rope_freqs.weight", shape: [factors.length], type: "F32" } as const;
    tensors.push({ ...own, from: factors, unblocked: false });
  }
  return { head: ggufHead([...shape.value, ...vocabulary.value], tensors), tensors };
}

/**
 * Norms, biases and positions stay whole, as llama.cpp computes with them; tables of tokens lose
 * much at 4 bits and are read by every token, so that they have 8.
 */
function storedType({ name, shape }: NamedTensor, type: BlockType): BlockType {
  if (shape.length < 2 || name === "position_embd.weight") return "F32";
  const table = name === "token_embd.weight" || name === "output.weight";
  return table && type === "Q4_0" ? "Q8_0" : type;
}

/** @returns the bytes written, padding included */
async function writeTensor(tensor: Planned, source: WeightSource, write: Write): Promise<number> {
  const values = await valuesOf(tensor.from, source);
  await write(encodeBlocks(tensor.type, values));
  const bytes = bytesOf(tensor.type, tensor.shape);
  const padding = paddingAfter(bytes);
  if (padding > 0) await write(new Uint8Array(padding));
  return bytes + padding;
}

async function valuesOf(
  from: NamedTensor | Float32Array,
  source: WeightSource,
): Promise<Float32Array> {
  if (from instanceof Float32Array) return from;
  const values = new Float32Array(from.place.size);
  await source.readParameter(from.place, values);
  return changed(values, from);
}

/** An earlier GGUF file may be replaced; nothing else may. */
async function checkTarget(target: string): Promise<void> {
  const file = await open(target, "r").catch(() => undefined);
  if (!file) return;
  const start = new Uint8Array(4);
  try {
    await file.read(start, 0, 4, 0);
  } catch {
    // A folder, for example: its first bytes are no GGUF's.
    start.fill(0);
  } finally {
    await file.close();
  }
  if (new TextDecoder().decode(start) === "GGUF") return;
  throw new InputError(`${target} is there already, and is no GGUF file`, {
    hint: "name a file that does not exist",
  });
}
