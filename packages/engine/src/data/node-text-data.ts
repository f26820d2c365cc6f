// Data files as batches of tokens. Node only: it opens the files that text-data.ts learns from.
import { type DataFileFacts, dataFilesAt, readExamples } from "./node-examples.ts";
import { type TextData, TextDataBuilder, type TextDataOptions } from "./text-data.ts";

export type LoadedFile = DataFileFacts & { readonly documents: number; readonly tokens: number };
export type LoadedTextData = TextData & { readonly files: readonly LoadedFile[] };

export type LoadOptions = TextDataOptions & {
  /** Called with the documents read so far, bad lines included. */
  readonly onProgress?: (documents: number) => void;
};

/**
 * @param paths .txt or .jsonl files, or folders with some
 * @throws InputError if a file cannot be read, nothing can be learnt, or a line is bad and strict
 */
export async function loadTextData(
  paths: readonly string[],
  options: LoadOptions,
): Promise<LoadedTextData> {
  const builder = new TextDataBuilder(options);
  const files: LoadedFile[] = [];
  let count = 0;
  for (const given of paths) {
    for (const path of await dataFilesAt(given)) {
      const examples = readExamples(path);
      const before = builder.read;
      let next = await examples.next();
      for (; next.done !== true; next = await examples.next()) {
        builder.add(next.value);
        count += 1;
        options.onProgress?.(count);
      }
      const { documents, tokens } = builder.read;
      const own = { documents: documents - before.documents, tokens: tokens - before.tokens };
      files.push({ ...next.value, ...own });
    }
  }
  return { ...builder.build(), files };
}
