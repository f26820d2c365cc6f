// A run's data as the tokens of the model that it trains on: bytes, or ids with what is not learnt
// marked. A bad line is left out and told, unless the file says that it must not be.
import { toHex } from "@manyhands/base/bytes";
import { InputError } from "@manyhands/base/errors";
import { blobRoot } from "@manyhands/base/hash";
import type { BadLine } from "@manyhands/engine/data/examples";
import { readExamples } from "@manyhands/engine/data/node-examples";
import type { DataFile } from "@manyhands/engine/data/node-files";
import { documentOf, type Loss } from "@manyhands/engine/data/text-data";
import { platformSha256 } from "@manyhands/engine/quantize/base-cache";
import type { TextTokenizer } from "@manyhands/engine/tokenizer/text-tokenizer";
import type { FrozenRun } from "@manyhands/protocol/run-config";

/** Conversations and completions: what they teach is marked token by token. */
const EXAMPLES = /\.jsonl$/i;

/** What a run's data is: bytes, or ids where the model's tokenizer or a mask is needed. */
export function tokensKind(
  tokenizer: TextTokenizer,
  data: readonly DataFile[],
): FrozenRun["tokenizer"] {
  const hasExamples = data.some(({ name }) => EXAMPLES.test(name));
  return tokenizer.kind === "bytes" && !hasExamples ? "bytes" : "ids";
}

export type ExampleChoices = {
  /** What of an example is learnt, and whether the run's method can leave any of it out. */
  readonly loss: Loss;
  readonly canSkip: boolean;
  /** A bad line ends it. */
  readonly strict: boolean;
};

export type IdFiles = {
  readonly files: readonly DataFile[];
  readonly badLines: readonly BadLine[];
};

/**
 * The data as ids of 32 bits, little-endian: texts as they are; of a .jsonl file's examples −1 − id
 * where a token is the user's or the prompt's.
 *
 * @throws InputError names a line that the method cannot learn so, and where it is strict the first
 *         bad one
 */
export async function idFiles(
  tokenizer: TextTokenizer,
  data: readonly DataFile[],
  choices: ExampleChoices,
): Promise<IdFiles> {
  const files: DataFile[] = [];
  const badLines: BadLine[] = [];
  for (const file of data) {
    const ids = EXAMPLES.test(file.name)
      ? await exampleIds(tokenizer, file, { ...choices, badLines })
      : tokenizer.encode(new TextDecoder().decode(file.bytes), { wrap: true });
    const bytes = new Uint8Array(Int32Array.from(ids).buffer);
    const root = toHex(blobRoot(bytes, platformSha256));
    files.push({ ...file, bytes, byteLength: bytes.length, root });
  }
  return { files, badLines };
}

async function exampleIds(
  tokenizer: TextTokenizer,
  file: DataFile,
  { loss, canSkip, strict, badLines }: ExampleChoices & { readonly badLines: BadLine[] },
): Promise<number[]> {
  const all: number[] = [];
  const { bosId, eosId } = tokenizer;
  for await (const { line, example } of readExamples(file.path)) {
    const read = example.ok ? documentOf(example.value, { tokenizer, loss }) : example;
    if (!read.ok && strict) throw new InputError(`${file.name}, line ${line}: ${read.error}`);
    if (!read.ok) {
      badLines.push({ file: file.name, line, reason: read.error });
      continue;
    }
    const { ids, counted } = read.value;
    // BOS is counted where nothing can be left out: it is the easiest of all tokens.
    const skips = (i: number): boolean => counted[i] !== true && (canSkip || ids[i] !== bosId);
    if (!canSkip && ids.some((_, i) => skips(i))) throw skipError(`${file.name}, line ${line}`);
    ids.forEach((id, i) => {
      all.push(skips(i) ? -1 - id : id);
    });
    if (eosId !== undefined && ids.at(-1) !== eosId) all.push(eosId);
  }
  return all;
}

function skipError(place: string): InputError {
  return new InputError(
    `${place}: it has words that are not to be learnt: method full learns all`,
    {
      hint:
        "add `loss: all` to data, choose `method: lora`, or train alone with " +
        "`manyhands finetune --method full`, which can leave them out",
    },
  );
}
