// Data files as batches of tokens. Node only: it opens the files that text-data.ts learns from.
import { type DataFileFacts, dataFilesAt, readExamples } from "./node-examples.ts";
import { type TextData, TextDataBuilder, type TextDataOptions } from "./text-data.ts";

export type LoadedTextData = TextData & { readonly files: readonly DataFileFacts[] };

export type LoadOptions = TextDataOptions & {
  /** Called now and then with the bytes read so far. */
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
  const files: DataFileFacts[] = [];
  let count = 0;
  for (const given of paths) {
    for (const path of await dataFilesAt(given)) {
      const examples = readExamples(path);
      let next = await examples.next();
      for (; next.done !== true; next = await examples.next()) {
        builder.add(next.value);
        count += 1;
        options.onProgress?.(count);
      }
      files.push(next.value);
    }
  }
  return { ...builder.build(), files };
}
