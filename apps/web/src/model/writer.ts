// What writes a run's text: its words, and graphs over whole weights or over adapters beside
// a packed base, which is fetched once and kept where training keeps it.
import { sha256 } from "@manyhands/base/hash";
import { createGenerator, type GenerateOptions } from "@manyhands/engine/generate/generator";
import { TunedGenerator } from "@manyhands/engine/generate/tuned-generator";
import { decodeBase } from "@manyhands/engine/quantize/base-file";
import type { Runtime } from "@manyhands/engine/runtime/runtime";
import { byteTokenizer, type TextTokenizer } from "@manyhands/engine/tokenizer/text-tokenizer";
import type { FrozenRun, RunBlob } from "@manyhands/protocol/run-config";
import { openBlobs } from "@manyhands/worker/browser/blob-cache";
import { fetchBlob } from "./blobs.ts";
import type { Loading } from "./model-news.ts";

export type WriterQuestion = {
  readonly runId: string;
  readonly token: string;
  readonly run: FrozenRun;
  readonly runtime: () => Promise<Runtime>;
  readonly onLoading: (loading: Loading) => void;
};

type Writing = Omit<GenerateOptions, "weights">;

export type Writer = {
  readonly tokenizer: TextTokenizer;
  /** The tokens after which the model's makers stop. */
  readonly stopIds: readonly number[];
  /** @param weights the run's shared state: all weights, or the adapters */
  readonly generate: (weights: Float32Array, options: Writing) => AsyncGenerator<number>;
  readonly dispose: () => Promise<void>;
};

/** Something did not arrive; the message is a sentence. */
export class LoadError extends Error {}

/** @throws LoadError, InputError, RuntimeError */
export async function openWriter(question: WriterQuestion): Promise<Writer> {
  const { run, onLoading } = question;
  const words = await wordsFor(question);
  if (run.tuning?.method === "lora") {
    const { adapter, base: named } = run.tuning;
    const bytes = await keptBlob(question, named, "base");
    const base = decodeBase(bytes, run.model, sha256);
    const runtime = await question.runtime();
    onLoading({ what: "graph", done: 0, total: 0 });
    const tuned = await TunedGenerator.create({ runtime, base, adapter });
    return {
      ...words,
      generate: (adapters, options) => tuned.generate({ ...options, adapters }),
      dispose: () => tuned.dispose(),
    };
  }
  const runtime = await question.runtime();
  onLoading({ what: "graph", done: 0, total: 0 });
  const whole = await createGenerator({ runtime, model: run.model });
  return {
    ...words,
    generate: (weights, options) => whole.generate({ ...options, weights }),
    dispose: () => whole.dispose(),
  };
}

const NO_WORDS =
  "This run is older than this page: its files do not say which words its tokens stand for.";

async function wordsFor(question: WriterQuestion): Promise<Pick<Writer, "tokenizer" | "stopIds">> {
  const { run } = question;
  if (run.tokenizer === "bytes") return { tokenizer: byteTokenizer(), stopIds: [] };
  const files = run.tuning?.files;
  if (!files) throw new LoadError(NO_WORDS);
  const bytes = await keptBlob(question, files, "words");
  const { decodeSmallFiles, stopIdsOf, tokenizerOf } = await import(
    "@manyhands/engine/tokenizer/small-files"
  );
  const small = decodeSmallFiles(bytes);
  const tokenizer = tokenizerOf(small, run.model.vocabSize);
  return { tokenizer, stopIds: stopIdsOf(small.files, tokenizer) };
}

/** A blob of the run that does not change: from this browser's files, or fetched into them. */
async function keptBlob(
  { runId, token, onLoading }: WriterQuestion,
  { root, byteLength }: RunBlob,
  what: "base" | "words",
): Promise<Uint8Array> {
  // Where nothing can be kept, the blob is fetched again next time: nobody needs to be told.
  const blobs = await openBlobs(sha256, () => undefined);
  return blobs.get({ root, byteLength, use: "data" }, async () => {
    const found = await fetchBlob({ runId, token, root, byteLength }, (done, total) =>
      onLoading({ what, done, total }),
    );
    if (found.ok) return found.value;
    throw new LoadError(found.error);
  });
}
