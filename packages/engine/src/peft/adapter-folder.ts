// An adapter folder as PEFT writes and loads one: adapter_config.json, adapter_model.safetensors,
// a card. Node only. Training is elsewhere: here are a config and flat numbers.
import { copyFile, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { assert, defined } from "@manyhands/base/assert";
import { utf8 } from "@manyhands/base/bytes";
import { messageOf } from "@manyhands/base/errors";
import { adapterCount, adapterPlaces } from "../adapters/config.ts";
import {
  ModelFileError,
  type PlacedTensor,
  readModelText,
  tensorsIn,
} from "../checkpoint/model-files.ts";
import { fillFolder, writeDurably } from "../checkpoint/node-folder.ts";
import { writeSafetensors } from "../checkpoint/safetensors.ts";
import { decodeFloats } from "../checkpoint/stored-values.ts";
import type { ModelConfig, ParameterPlace } from "../model/config.ts";
import { TOKENIZER_FILES } from "../tokenizer/tokenizer-files.ts";
import {
  adapterConfigJson,
  parseAdapterConfig,
  type SavedAdapterConfig,
} from "./adapter-config.ts";

export type SavedAdapter = SavedAdapterConfig & {
  /** Flat, in the order of adapterPlaces(model, adapter). */
  readonly weights: Float32Array;
};

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
const CARD = "README.md";
const CONFIG_BYTES_MAX = 4 << 20;
const HINT = "name a folder with adapter_config.json and adapter_model.safetensors";

/**
 * An adapter for this model, every number of it finite and in its place.
 *
 * @throws ModelFileError says which file, which tensor and why
 */
export async function readAdapterFolder(folder: string, model: ModelConfig): Promise<SavedAdapter> {
  const path = join(folder, CONFIG);
  const parsed = parseAdapterConfig(await readModelText(path, CONFIG_BYTES_MAX), model);
  if (!parsed.ok) {
    const hint = "an adapter fits the model that it was trained on; see adapter_config.json";
    throw new ModelFileError({ code: "import/config", file: path, reason: parsed.error, hint });
  }
  const { adapter } = parsed.value;
  const places = adapterPlaces(model, adapter);
  const file = await weightsFile(folder);
  const tensors = new Map((await tensorsIn(file)).map((tensor) => [tensor.name, tensor]));
  checkTensors(file, places, tensors);
  const weights = new Float32Array(adapterCount(model, adapter));
  const handle = await open(file, "r");
  try {
    for (const { name, offset, size } of places) {
      const tensor = defined(tensors.get(name), `${name} was checked`);
      await readTensor(handle, tensor, weights.subarray(offset, offset + size));
    }
  } finally {
    await handle.close();
  }
  return { ...parsed.value, weights };
}

/** @throws ModelFileError if there are no safetensors; a pickle is never read */
async function weightsFile(folder: string): Promise<string> {
  const names = await namesIn(folder);
  if (names.includes(WEIGHTS)) return join(folder, WEIGHTS);
  const pickle = names.find((name) => /\.(bin|pt|pth|ckpt|pkl|pickle)$/i.test(name));
  if (pickle === undefined) {
    const fault = { code: "import/no-file", file: join(folder, WEIGHTS), hint: HINT } as const;
    throw new ModelFileError({ ...fault, reason: "there is no such file" });
  }
  throw new ModelFileError({
    ...{ code: "import/pickle", file: join(folder, pickle) },
    reason: "PyTorch's pickle files can run programs, so they are never read",
    hint: "save it with peft as safetensors: model.save_pretrained(folder)",
  });
}

function checkTensors(
  file: string,
  places: readonly ParameterPlace[],
  tensors: ReadonlyMap<string, PlacedTensor>,
): void {
  const wanted = new Map(places.map((place) => [place.name, place]));
  for (const { name, dtype } of tensors.values()) {
    if (!wanted.has(name)) {
      const reason = "the adapter that adapter_config.json describes has no such tensor";
      throw new ModelFileError({ code: "import/unknown", file, tensor: name, reason });
    }
    if (dtype === "U8") {
      const reason = "its type is U8; adapters are F32, F16 or BF16";
      throw new ModelFileError({ code: "import/dtype", file, tensor: name, reason });
    }
  }
  for (const { name, shape } of places) {
    const found = tensors.get(name);
    if (!found) {
      const reason = "the adapter needs it, and the file does not have it";
      throw new ModelFileError({ code: "import/missing", file, tensor: name, reason });
    }
    if (found.shape.join() === shape.join()) continue;
    const reason = `its shape: expected (${shape.join(", ")}), found (${found.shape.join(", ")})`;
    throw new ModelFileError({ code: "import/shape", file, tensor: name, reason });
  }
}

type Handle = Awaited<ReturnType<typeof open>>;

async function readTensor(
  handle: Handle,
  { name, path, dtype, begin, end, position }: PlacedTensor,
  into: Float32Array,
): Promise<void> {
  const bytes = new Uint8Array(end - begin);
  const fault = { file: path, tensor: name } as const;
  for (let filled = 0; filled < bytes.length; ) {
    const rest = bytes.length - filled;
    const { bytesRead } = await handle.read(bytes, filled, rest, position + filled);
    if (bytesRead === 0) {
      const reason = "the file became shorter while it was read";
      throw new ModelFileError({ ...fault, code: "import/changed", reason });
    }
    filled += bytesRead;
  }
  decodeFloats(bytes, dtype, into);
  if (into.every(Number.isFinite)) return;
  const reason = "it has a value that is not finite";
  throw new ModelFileError({ ...fault, code: "import/not-finite", reason });
}

export type AdapterSource = {
  readonly model: ModelConfig;
  readonly saved: SavedAdapter;
  /** The text of README.md. */
  readonly card?: string | undefined;
  /** A folder whose tokenizer files are copied, so that the adapter is complete with its base. */
  readonly tokenizerFrom?: string | undefined;
};

/**
 * Writes the folder: complete, or as it was before.
 *
 * @throws InputError  if the folder holds anything that is no part of an adapter
 * @throws ExportError if the disk refuses
 */
export async function writeAdapterFolder(folder: string, source: AdapterSource): Promise<void> {
  const known = new Set([CONFIG, WEIGHTS, CARD, ...TOKENIZER_FILES]);
  await fillFolder(
    folder,
    (name) => known.has(name),
    async (fresh) => {
      for (const [name, bytes] of adapterFiles(source))
        await writeDurably(join(fresh, name), bytes);
      const { tokenizerFrom } = source;
      if (tokenizerFrom !== undefined) await copyTokenizer(tokenizerFrom, fresh);
    },
  );
}

function adapterFiles({ model, saved, card }: AdapterSource): readonly [string, Uint8Array][] {
  const places = adapterPlaces(model, saved.adapter);
  const count = adapterCount(model, saved.adapter);
  assert(saved.weights.length === count, `an adapter of ${count} weights`);
  const tensors = places.map(({ name, shape, offset, size }) => {
    return { name, shape, values: saved.weights.subarray(offset, offset + size) };
  });
  return [
    [CONFIG, utf8(adapterConfigJson(saved, model))],
    [WEIGHTS, writeSafetensors(tensors, { format: "pt" })],
    ...(card === undefined ? [] : [[CARD, utf8(card)] as [string, Uint8Array]]),
  ];
}

/** Those of a folder's tokenizer files that are there. */
export async function copyTokenizer(from: string, to: string): Promise<void> {
  const names = new Set(await namesIn(from));
  for (const name of TOKENIZER_FILES) {
    if (names.has(name)) await copyFile(join(from, name), join(to, name));
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    const fault = { code: "import/no-file", file: folder, hint: HINT } as const;
    throw new ModelFileError({ ...fault, reason: `cannot be read: ${messageOf(cause)}` }, cause);
  }
}
