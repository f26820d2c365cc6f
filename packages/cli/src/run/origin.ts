// The trained model that a run began with, as far as the run's own folder has it: the small files,
// laid out as a model's folder while something is written from them.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeSmallFiles, tokenizerOf } from "@manyhands/engine/tokenizer/small-files";
import { type ReadRun, readBlob } from "./read-run.ts";
import type { Origin } from "./trained-model.ts";

/**
 * @param use gets null where the run began from nothing, or is older than the field
 * @throws DamagedBlobError, InputError, and what `use` throws
 */
export async function withOrigin<T>(
  { folder, state }: Pick<ReadRun, "folder" | "state">,
  use: (origin: Origin | null) => Promise<T>,
): Promise<T> {
  const { model, tuning } = state.run;
  if (!tuning?.files) return use(null);
  const small = decodeSmallFiles(readBlob(folder, tuning.files.root));
  const files = await mkdtemp(join(tmpdir(), "manyhands-origin-"));
  try {
    for (const [name, content] of Object.entries(small.files)) {
      await writeFile(join(files, name), content);
    }
    const { name, revision } = small;
    const tokenizer = tokenizerOf(small, model.vocabSize);
    return await use({ folder: files, name, commit: revision, tokenizer });
  } finally {
    await rm(files, { recursive: true, force: true });
  }
}
