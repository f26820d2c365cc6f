// A fine-tuning run's state in one file: complete and checked by its hash, or the one before it.
// It knows bytes and a header, not what training does with them.
//
//     bytes 0 … 7     "MHTUNE1\n"
//     8 … 11          length of the header, little-endian
//     header          JSON: step, count of each array, recipe's hash, history
//     arrays          weights, first and second moments: float32, little-endian, `count` of each
//     last 32 bytes   SHA-256 of all before
import { createHash } from "node:crypto";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { InputError, ManyhandsError, messageOf } from "@manyhands/base/errors";
import type { TuneState } from "@manyhands/engine/train/tuner";

/** A step's numbers, and those of the validations between steps. */
export type LossPoint = { readonly step: number; readonly tokens: number; readonly loss: number };

export type History = {
  readonly train: readonly LossPoint[];
  readonly validation: readonly LossPoint[];
  /** Time spent in training, over all sittings. */
  readonly trainingMs: number;
  /** Counted tokens so far. */
  readonly tokens: number;
};

export type Checkpoint = {
  readonly recipeHash: string;
  readonly state: TuneState;
  readonly history: History;
};

/** The disk refused. The checkpoint before is whole. */
export class CheckpointError extends ManyhandsError {
  override readonly name = "CheckpointError";
}

type Header = {
  readonly step: number;
  readonly count: number;
  readonly recipeHash: string;
  readonly history: History;
};

const MAGIC = "MHTUNE1\n";
const HASH_BYTES = 32;
const FRONT_BYTES = 12;
const HEADER_BYTES_MAX = 1 << 28;
const ARRAYS = ["weights", "moment1", "moment2"] as const;

/**
 * Writes beside the file, makes it durable, and gives it the file's name.
 *
 * @throws CheckpointError if the disk refuses; what was there before is untouched
 */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const fresh = `${path}.new`;
  try {
    const file = await open(fresh, "w");
    try {
      const hash = createHash("sha256");
      for (const part of partsOf(checkpoint)) {
        hash.update(part);
        await writeAll(file, part);
      }
      await writeAll(file, hash.digest());
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, path);
    await syncFolder(dirname(path));
  } catch (cause) {
    await rm(fresh, { force: true });
    throw new CheckpointError(`cannot write ${path}: ${messageOf(cause)}`, {
      cause,
      hint: "the checkpoint before is whole: make room, and give the same command again",
    });
  }
}

function* partsOf({ recipeHash, state, history }: Checkpoint): Generator<Uint8Array> {
  const header: Header = { step: state.step, count: state.weights.length, recipeHash, history };
  const json = new TextEncoder().encode(JSON.stringify(header));
  const front = new Uint8Array(FRONT_BYTES);
  front.set(new TextEncoder().encode(MAGIC));
  new DataView(front.buffer).setUint32(MAGIC.length, json.length, true);
  yield front;
  yield json;
  for (const name of ARRAYS) {
    const { buffer, byteOffset, byteLength } = state[name];
    yield new Uint8Array(buffer, byteOffset, byteLength);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done);
    done += bytesWritten;
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * @returns undefined if there is no such file
 * @throws InputError if it is damaged, or no checkpoint
 */
export async function readCheckpoint(path: string): Promise<Checkpoint | undefined> {
  const file = await open(path, "r").catch((caught: unknown) => {
    if (codeOf(caught) === "ENOENT") return undefined;
    throw caught;
  });
  if (!file) return undefined;
  try {
    return await readFrom(new HashedReader(file), (await stat(path)).size);
  } catch (cause) {
    throw new InputError(`${path} is no sound checkpoint: ${messageOf(cause)}`, {
      cause,
      hint: "choose another --out, or begin anew with --restart",
    });
  } finally {
    await file.close();
  }
}

async function readFrom(reader: HashedReader, size: number): Promise<Checkpoint> {
  const front = await reader.read(new Uint8Array(FRONT_BYTES));
  const magic = new TextDecoder().decode(front.subarray(0, MAGIC.length));
  if (magic !== MAGIC) throw new InputError("it does not begin as one");
  const length = new DataView(front.buffer).getUint32(MAGIC.length, true);
  if (length > Math.min(HEADER_BYTES_MAX, size)) throw new InputError("its header is too long");
  const json = await reader.read(new Uint8Array(length));
  const header: Header = JSON.parse(new TextDecoder().decode(json));
  const { step, count, recipeHash, history } = header;
  const expected = FRONT_BYTES + length + ARRAYS.length * 4 * count + HASH_BYTES;
  if (size !== expected) throw new InputError(`it has ${size} bytes in place of ${expected}`);
  const [weights, moment1, moment2] = [
    await reader.readFloats(count),
    await reader.readFloats(count),
    await reader.readFloats(count),
  ];
  if (!(await reader.matchesHash())) throw new InputError("its bytes have changed");
  return { recipeHash, history, state: { step, weights, moment1, moment2 } };
}

class HashedReader {
  readonly #file: FileHandle;
  readonly #hash = createHash("sha256");

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async read<T extends Uint8Array>(into: T): Promise<T> {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await this.#file.read(into, done, into.length - done);
      if (bytesRead === 0) throw new InputError("it ends too early");
      done += bytesRead;
    }
    this.#hash.update(into);
    return into;
  }

  async readFloats(count: number): Promise<Float32Array> {
    const floats = new Float32Array(count);
    await this.read(new Uint8Array(floats.buffer));
    return floats;
  }

  async matchesHash(): Promise<boolean> {
    const digest = this.#hash.copy().digest();
    const stored = await this.read(new Uint8Array(HASH_BYTES));
    return digest.equals(stored);
  }
}

function codeOf(caught: unknown): unknown {
  return typeof caught === "object" && caught !== null ? Reflect.get(caught, "code") : undefined;
}
