// The writing thread: the engine's generator on the WASM runtime, with the run's weights.
import { messageOf } from "@manyhands/base/errors";
import { ortWebWasm } from "@manyhands/engine/runtime/ort-web-wasm";
import type { Runtime } from "@manyhands/engine/runtime/runtime";
import type { TextTokenizer } from "@manyhands/engine/tokenizer/text-tokenizer";
import { loadRuntime as loadRuntimeFile } from "@manyhands/worker/browser/runtime-files";
import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import type { Loading, ModelNews, ModelOrder, WriteOrder } from "./model-news.ts";
import { type WeightsAfter, weightsAfter } from "./weights-after.ts";
import { LoadError, openWriter, type Writer } from "./writer.ts";

/** About what the runtime's file weighs, where the server does not say. */
const RUNTIME_BYTES = 14_300_000;
const WEIGHTS_KEPT = 2;
/** Tokens of bytes are quick, and a turn takes as long as several of them. */
const TURN_TOKENS = 8;

let runtime: Promise<Runtime> | null = null;
let writer: { readonly runId: string; readonly opened: Promise<Writer> } | null = null;
const kept = new Map<string, WeightsAfter>();
let stopped = 0;
let turn: Promise<void> = Promise.resolve();

function tell(news: ModelNews): void {
  self.postMessage(news);
}

async function loadRuntime(onLoading: (loading: Loading) => void): Promise<Runtime> {
  // The device's own copy, if it has trained here.
  const binary = new URL(wasmUrl, self.location.href).href;
  const file = { script: "", binary, bytes: RUNTIME_BYTES };
  const { bytes } = await loadRuntimeFile(file, (done, total) =>
    onLoading({ what: "runtime", done, total }),
  );
  return ortWebWasm({ files: bytes });
}

/** One run's at a time; one that could not be opened is opened anew. */
async function writerFor(
  order: WriteOrder,
  onLoading: (loading: Loading) => void,
): Promise<Writer> {
  if (writer?.runId === order.runId) return writer.opened;
  await writer?.opened.then((old) => old.dispose());
  const { runId, token, run } = order;
  const opened = openWriter({ runId, token, run, runtime: () => runtimeFor(onLoading), onLoading });
  writer = { runId, opened };
  return opened.catch((error: unknown) => {
    writer = null;
    throw error;
  });
}

async function runtimeFor(onLoading: (loading: Loading) => void): Promise<Runtime> {
  runtime ??= loadRuntime(onLoading);
  return runtime.catch((error: unknown) => {
    runtime = null;
    throw error;
  });
}

async function weightsFor(
  order: WriteOrder,
  onLoading: (loading: Loading) => void,
): Promise<WeightsAfter> {
  const { runId, rounds } = order;
  const known = rounds === null ? undefined : kept.get(`${runId} ${rounds}`);
  if (known) return known;
  const found = await weightsAfter({ ...order, onLoading });
  if (!found.ok) throw new LoadError(found.error);
  const oldest = kept.size >= WEIGHTS_KEPT ? kept.keys().next().value : undefined;
  if (oldest !== undefined) kept.delete(oldest);
  kept.set(`${runId} ${found.value.rounds}`, found.value);
  return found.value;
}

async function write(order: WriteOrder, isStopped: () => boolean): Promise<void> {
  const { place, prompt, chat, count, temperature, topP, seed } = order;
  const onLoading = (loading: Loading): void => tell({ kind: "loading", place, loading });
  const { rounds, weights } = await weightsFor(order, onLoading);
  const { tokenizer, stopIds, generate } = await writerFor(order, onLoading);
  if (isStopped()) return;
  tell({ kind: "began", place, rounds });
  const startedAt = performance.now();
  const stream = tokenizer.stream();
  const ids = chat ? turnOf(prompt, tokenizer) : idsOf(prompt, tokenizer);
  const options = { prompt: ids, tokenCountMax: count, seed, stopIds };
  let written = 0;
  let perSecond = 0;
  for await (const id of generate(weights, { ...options, temperature, topP })) {
    if (isStopped()) return;
    if (stopIds.includes(id)) break;
    written += 1;
    perSecond = (written * 1_000) / Math.max(1, performance.now() - startedAt);
    tell({ kind: "text", place, text: stream.push([id]), perSecond });
    // A stop that the page sends can only be heard between two turns of this thread.
    if (written % TURN_TOKENS === 0 || tokenizer.kind === "model") await nextTurn();
  }
  tell({ kind: "text", place, text: stream.end(), perSecond });
}

/** What a person says, in the model's own form of a conversation. */
function turnOf(content: string, tokenizer: TextTokenizer): readonly number[] {
  if (!tokenizer.chat) throw new LoadError(NO_CHAT);
  const { text, guard } = tokenizer.chat.renderPrompt({ messages: [{ role: "user", content }] });
  return tokenizer.encode(text, { author: "control", guard });
}

const NO_CHAT = "This model's makers gave it no form of conversation: let it go on from a text.";

/** A text begins with one token at least. */
function idsOf(prompt: string, tokenizer: TextTokenizer): readonly number[] {
  const ids = tokenizer.encode(prompt, { wrap: true });
  if (ids.length > 0) return ids;
  return tokenizer.bosId === undefined ? tokenizer.encode("\n") : [tokenizer.bosId];
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function take(order: WriteOrder, isStopped: () => boolean): Promise<void> {
  const { place } = order;
  try {
    if (!isStopped()) await write(order, isStopped);
    tell({ kind: "done", place });
  } catch (error) {
    tell({ kind: "trouble", place, message: messageOf(error) });
  }
}

self.onmessage = ({ data }: MessageEvent<ModelOrder>) => {
  if (data.kind === "stop") {
    stopped += 1;
    return;
  }
  const mine = stopped;
  // One after the other: the runtime has one thread.
  turn = turn.then(() => take(data, () => stopped !== mine));
};
