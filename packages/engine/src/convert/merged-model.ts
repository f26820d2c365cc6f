// A base with its adapter merged in, as a folder that needs neither PEFT nor us. Node only; the
// sums are in adapters/merge.ts, the files in model-folder-files.ts.
import { ModelFolder } from "../checkpoint/model-folder.ts";
import {
  MODEL_TYPES,
  type ModelFolderOptions,
  type ModelType,
  type WrittenModel,
  writeModelFolder,
} from "./model-folder-files.ts";
import { type AdapterChoice, withAdapter } from "./weight-source.ts";

export type MergeOptions = Omit<ModelFolderOptions, "source" | "dtype"> & {
  readonly adapter: AdapterChoice;
  /** Default: as the base is stored. */
  readonly dtype?: ModelType | undefined;
};

export type MergedModel = WrittenModel & { readonly dtype: ModelType };

/**
 * Writes W + s B A for every adapted W, and every other weight as it is.
 *
 * @throws ModelFileError if a file of base or adapter is broken, or they do not fit each other
 * @throws InputError | ExportError as writeModelFolder
 */
export async function writeMergedModel(options: MergeOptions): Promise<MergedModel> {
  const base = await ModelFolder.open(options.base);
  try {
    const source = await withAdapter(base, options.adapter);
    const dtype = options.dtype ?? typeOf(base);
    return { ...(await writeModelFolder({ ...options, source, dtype })), dtype };
  } finally {
    await base.close();
  }
}

/** The base's own type; bf16 where it has several. */
function typeOf({ dtype }: ModelFolder): ModelType {
  return MODEL_TYPES.find((type) => type.toUpperCase() === dtype) ?? "bf16";
}
