// The writing thread: the engine's generator on the WASM runtime, with the run's weights.
import { messageOf } from "@manyhands/base/errors";
import { createGenerator } from "@manyhands/engine/generate/generator";
import type { ModelConfig } from "@manyhands/engine/model/config";
import { ortWebWasm } from "@manyhands/engine/runtime/ort-web-wasm";
import type { Runtime } from "@manyhands/engine/runtime/runtime";
import { encodeText, TokenStream } from "@manyhands/engine/tokenizer/bytes";
import { loadRuntime as loadRuntimeFile } from "@manyhands/worker/browser/runtime-files";
import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import type { Loading, ModelNews, ModelOrder, WriteOrder } from "./model-news.ts";
import { type WeightsAfter, weightsAfter } from "./weights-after.ts";

type Generator = Awaited<ReturnType<typeof createGenerator>>;

/** About what the runtime's file weighs, where the server does not say. */
const RUNTIME_BYTES = 14_300_000;
const WEIGHTS_KEPT = 2;

let runtime: Promise<Runtime> | null = null;
let generator: { readonly runId: string; readonly made: Promise<Generator> } | null = null;
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

/** Their base is not in the log, and is larger than what a page should load to write a line. */
const ADAPTERS_ONLY =
  "This run trains adapters for a model that others have: this page cannot write with it yet.";

/** Something did not arrive; the message is a sentence. */
class LoadError extends Error {}

async function generatorFor(
  order: WriteOrder,
  onLoading: (loading: Loading) => void,
): Promise<Generator> {
  if (generator?.runId === order.runId) return generator.made;
  runtime ??= loadRuntime(onLoading);
  const loaded = await runtime.catch((error: unknown) => {
    runtime = null;
    throw error;
  });
  onLoading({ what: "graph", done: 0, total: 0 });
  const model: ModelConfig = order.run.model;
  const made = createGenerator({ runtime: loaded, model });
  generator = { runId: order.runId, made };
  return made;
}

async function weightsFor(
  order: WriteOrder,
  onLoading: (loading: Loading) => void,
): Promise<WeightsAfter> {
  const { runId, rounds, run } = order;
  if (run.tuning?.method === "lora") throw new LoadError(ADAPTERS_ONLY);
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
  const { place, prompt, count, temperature, topP, seed } = order;
  const onLoading = (loading: Loading): void => tell({ kind: "loading", place, loading });
  const { rounds, weights } = await weightsFor(order, onLoading);
  const writer = await generatorFor(order, onLoading);
  if (isStopped()) return;
  tell({ kind: "began", place, rounds });
  const startedAt = performance.now();
  const stream = new TokenStream();
  const tokens = encodeText(prompt === "" ? "\n" : prompt);
  const options = { weights, prompt: Array.from(tokens), tokenCountMax: count, seed };
  let written = 0;
  for await (const id of writer.generate({ ...options, temperature, topP })) {
    if (isStopped()) return;
    written += 1;
    const perSecond = (written * 1_000) / Math.max(1, performance.now() - startedAt);
    tell({ kind: "text", place, text: stream.push([id]), perSecond });
    // A stop that the page sends can only be heard between two turns of this thread.
    if (written % 8 === 0) await nextTurn();
  }
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
