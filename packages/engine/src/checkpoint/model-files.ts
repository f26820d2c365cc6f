// Which file of a model folder holds which tensor, from an index or from the folder's one file.
// It deliberately reads no tensor. A name in an index is a plain file name: it leads nowhere else.
import { open, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe } from "@manyhands/base/decode";
import { InputError, messageOf } from "@manyhands/base/errors";
import {
  type HeaderRules,
  headerEnd,
  readHeader,
  type SafetensorsCode,
  type TensorEntry,
} from "./safetensors.ts";

export type ModelFileCode =
  | SafetensorsCode
  | "import/config"
  | "import/no-file"
  | "import/too-long"
  | "import/pickle"
  | "import/index"
  | "import/path"
  | "import/missing"
  | "import/unknown"
  | "import/duplicate"
  | "import/dtype"
  | "import/shape"
  | "import/value"
  | "import/not-finite"
  | "import/changed";

export type ModelFault = {
  readonly code: ModelFileCode;
  /** The file's path. */
  readonly file: string;
  readonly tensor?: string | undefined;
  readonly reason: string;
  readonly hint?: string | undefined;
};

/** A file of a model is not what it must be: which one, which tensor, and why. */
export class ModelFileError extends InputError {
  readonly code: ModelFileCode;
  readonly file: string;
  readonly tensor: string | undefined;

  constructor({ code, file, tensor, reason, hint }: ModelFault, cause?: unknown) {
    const where = tensor === undefined ? file : `${file}: the tensor ${describe(tensor)}`;
    super(`${where}: ${reason} (${code})`, { hint: hint ?? HINT, cause });
    this.code = code;
    this.file = file;
    this.tensor = tensor;
  }
}

const FOLDER_HINT = "name a folder with config.json and model.safetensors";
const HINT = "fetch the model again, or ask whoever made it for sound files";
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const INDEX_BYTES_MAX = 100_000_000;
/** What PyTorch's own formats are called: they are programs, so they are never read. */
const PICKLE_NAMES = /\.(bin|pt|pth|ckpt|pkl|pickle)$/i;
const SHARD_NAME = /^[\w][\w.-]{0,200}\.safetensors$/;

/** Whatever others wrote: half floats, bytes, and tensors that start anywhere. */
const RULES: HeaderRules = { dtypes: ["F32", "F16", "BF16", "U8"], aligned: false };

/** A tensor, and the file in which its bytes lie. */
export type PlacedTensor = TensorEntry & {
  readonly path: string;
  /** Where in the file the bytes start. */
  readonly position: number;
};

export type ModelFiles = {
  readonly paths: readonly string[];
  readonly tensors: ReadonlyMap<string, PlacedTensor>;
};

/**
 * Every tensor of a folder, by its name, after all checks that need no tensor's bytes.
 *
 * @throws ModelFileError
 */
export async function findTensors(folder: string): Promise<ModelFiles> {
  const names = await namesIn(folder);
  const index = names.includes(INDEX) ? await readIndex(join(folder, INDEX)) : undefined;
  if (!index && !names.includes(WEIGHTS)) throw noWeights(folder, names);
  const files = index ? [...new Set(index.values())] : [WEIGHTS];
  const tensors = new Map<string, PlacedTensor>();
  for (const name of files) {
    const path = join(folder, name);
    if (!names.includes(name)) {
      const reason = `the index names this file, but the folder has none of that name`;
      throw new ModelFileError({ code: "import/no-file", file: path, reason });
    }
    for (const tensor of await tensorsIn(path)) {
      const other = tensors.get(tensor.name);
      if (other) {
        const fault = { code: "import/duplicate", file: path, tensor: tensor.name } as const;
        throw new ModelFileError({ ...fault, reason: `it is in ${other.path} too` });
      }
      tensors.set(tensor.name, tensor);
    }
  }
  if (index) checkIndex(join(folder, INDEX), index, { folder, tensors });
  return { paths: files.map((name) => join(folder, name)), tensors };
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    throw new ModelFileError(
      {
        ...{ code: "import/no-file", file: folder },
        reason: `is no readable folder: ${messageOf(cause)}`,
        hint: FOLDER_HINT,
      },
      cause,
    );
  }
}

function noWeights(folder: string, names: readonly string[]): ModelFileError {
  const pickle = names.find((name) => PICKLE_NAMES.test(name));
  if (pickle === undefined) {
    return new ModelFileError({
      ...{ code: "import/no-file", file: join(folder, WEIGHTS) },
      reason: "there is no such file, and no index of shards",
      hint: FOLDER_HINT,
    });
  }
  return new ModelFileError({
    ...{ code: "import/pickle", file: join(folder, pickle) },
    reason: "PyTorch's pickle files can run programs, so they are never read",
    hint: "convert it with transformers: model.save_pretrained(folder, safe_serialization=True)",
  });
}

/** A text file that is really one, and not longer than some bytes. @throws ModelFileError */
export async function readModelText(path: string, bytesMax: number): Promise<string> {
  const size = await fileSize(path);
  if (size <= bytesMax) return readFile(path, "utf8");
  const reason = `it has ${size} bytes; such a file has at most ${bytesMax}`;
  throw new ModelFileError({ code: "import/too-long", file: path, reason });
}

/** The size of what is a file, or leads to one: a pipe or a device would never end. */
async function fileSize(path: string): Promise<number> {
  const fault = { code: "import/no-file", file: path, hint: FOLDER_HINT } as const;
  try {
    const found = await stat(path);
    if (found.isFile()) return found.size;
  } catch (cause) {
    throw new ModelFileError({ ...fault, reason: `cannot be read: ${messageOf(cause)}` }, cause);
  }
  throw new ModelFileError({ ...fault, reason: "it is no file" });
}

/** From tensor to shard, as model.safetensors.index.json says it. */
async function readIndex(path: string): Promise<ReadonlyMap<string, string>> {
  const broken = (code: ModelFileCode, reason: string, tensor?: string): ModelFileError =>
    new ModelFileError({ code, file: path, tensor, reason });
  const text = await readModelText(path, INDEX_BYTES_MAX);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw broken("import/index", `it is no JSON: ${messageOf(cause)}`);
  }
  const map: unknown = isObject(value) ? value["weight_map"] : undefined;
  if (!isObject(map) || Object.keys(map).length === 0) {
    throw broken("import/index", "it has no weight_map from tensors to files");
  }
  const index = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== "string" || !SHARD_NAME.test(file)) {
      const reason = `its file is ${describe(file)}, which is no plain name of a .safetensors file`;
      throw broken("import/path", reason, tensor);
    }
    index.set(tensor, file);
  }
  return index;
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

type Found = { readonly folder: string; readonly tensors: ReadonlyMap<string, PlacedTensor> };

/** An index and its files must agree on where every tensor is. */
function checkIndex(path: string, index: ReadonlyMap<string, string>, found: Found): void {
  for (const [tensor, file] of index) {
    const placed = found.tensors.get(tensor);
    if (placed?.path === join(found.folder, file)) continue;
    const reason = `the index puts it into ${file}, which does not hold it`;
    throw new ModelFileError({ code: "import/index", file: path, tensor, reason });
  }
  for (const [tensor, { path: file }] of found.tensors) {
    if (index.has(tensor)) continue;
    const reason = `${file} holds it, but the index does not name it`;
    throw new ModelFileError({ code: "import/index", file: path, tensor, reason });
  }
}

/** The tensors of one file, from its header alone. @throws ModelFileError */
export async function tensorsIn(path: string): Promise<readonly PlacedTensor[]> {
  const size = await fileSize(path);
  const file = await open(path, "r");
  try {
    const start = await readAt(file, 0, Math.min(size, 8));
    const end = headerEnd(start, size, RULES);
    if (!end.ok) throw brokenFile(path, start, end.error);
    const head = await readAt(file, 0, end.value);
    const header = readHeader(head, size, RULES);
    if (!header.ok) throw brokenFile(path, start, header.error);
    const { dataStart, entries } = header.value;
    return entries.map((entry) => ({ ...entry, path, position: dataStart + entry.begin }));
  } finally {
    await file.close();
  }
}

type Handle = Awaited<ReturnType<typeof open>>;

/** So many bytes from a position on, or fewer at the file's end. */
async function readAt(file: Handle, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

type Problem = { readonly code: SafetensorsCode; readonly message: string };

/** What is wrong with a file. Its first bytes tell a pickle or an archive under a false name. */
function brokenFile(path: string, start: Uint8Array, problem: Problem): ModelFileError {
  const [a, b] = start;
  const zip = a === 0x50 && b === 0x4b;
  const pickle = a === 0x80 && b !== undefined && b >= 2 && b <= 5;
  if ((zip || pickle) && problem.code !== "safetensors/overlap") {
    const what = zip ? "a zip archive, as PyTorch saves" : "a Python pickle";
    return new ModelFileError({
      ...{ code: "import/pickle", file: path },
      reason: `it is no safetensors file but ${what}; such files can run programs`,
      hint: "do not open it with other tools; fetch the model as safetensors",
    });
  }
  return new ModelFileError({ code: problem.code, file: path, reason: problem.message });
}
