// A base with its adapter merged in, as a folder that needs neither PEFT nor us. Node only; the
// sums are in adapters/merge.ts, the files in model-folder-files.ts.
import { ModelFolder } from "../checkpoint/model-folder.ts";
import {
  type ModelFolderOptions,
  type WrittenModel,
  writeModelFolder,
} from "./model-folder-files.ts";
import { type AdapterChoice, withAdapter } from "./weight-source.ts";

export type MergeOptions = Omit<ModelFolderOptions, "source"> & { readonly adapter: AdapterChoice };

/**
 * Writes W + s B A for every adapted W, and every other weight as it is.
 *
 * @throws ModelFileError if a file of base or adapter is broken, or they do not fit each other
 * @throws InputError | ExportError as writeModelFolder
 */
export async function writeMergedModel(options: MergeOptions): Promise<WrittenModel> {
  const base = await ModelFolder.open(options.base);
  try {
    const source = await withAdapter(base, options.adapter);
    return await writeModelFolder({ ...options, source });
  } finally {
    await base.close();
  }
}
