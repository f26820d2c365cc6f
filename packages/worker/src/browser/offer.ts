// What taking part would cost this device, and whether it fits, from the run's description alone:
// nothing heavy is loaded for it. Not a measurement: the first steps show the speed.

import { updateLayout } from "@manyhands/aggregation/codec/layout";
import { allFragments } from "@manyhands/aggregation/fragments";
import { problemText } from "@manyhands/base/decode";
import { messageOf } from "@manyhands/base/errors";
import { err, ok, type Result } from "@manyhands/base/result";
import { parameterCount } from "@manyhands/engine/model/config";
import { planTraining } from "@manyhands/engine/plan/plan-training";
import type { HttpSend } from "@manyhands/net/http";
import { eventDecoder } from "@manyhands/protocol/events";
import { type FrozenRun, runIdOf } from "@manyhands/protocol/run-config";
import { heldBytes, optimizerOptions } from "../compute/run-facts.ts";
import type { JoinUrl } from "../host/join-url.ts";
import type { Offer } from "./device-view.ts";

/** A first row holds the whole run: many fragments, many files. */
const ROW_BYTES_MAX = 16 * 1024 * 1024;
const FLOAT_BYTES = 4;

/** What a person should know when something is wrong, and what to do. */
export type Trouble = { readonly message: string; readonly hint: string | null };

/** The run that a link names, checked against the name. */
export async function fetchRun(
  target: JoinUrl,
  send: HttpSend,
): Promise<Result<FrozenRun, Trouble>> {
  let text: string;
  try {
    const response = await send({
      method: "GET",
      url: `${target.runUrl}/log?from=0&limit=1`,
      headers: { authorization: `Bearer ${target.token}` },
    });
    text = await textOf(response.body);
    if (response.status !== 200) return err(refusal(response.status));
  } catch (caught) {
    const hint = "Is the coordinator running, and is this device in the same network?";
    return err({ message: `The coordinator does not answer: ${messageOf(caught)}`, hint });
  }
  return runIn(text, target.runId);
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const piece of body) {
    if (text.length < ROW_BYTES_MAX) text += decoder.decode(piece, { stream: true });
  }
  return text;
}

function refusal(status: number): Trouble {
  const hint = "Ask for the join link again, and open it as a whole.";
  if (status === 401 || status === 403) {
    return { message: "The link’s token is not this run’s.", hint };
  }
  if (status === 404) return { message: "There is no such run here.", hint };
  return { message: `The coordinator answered HTTP ${status}.`, hint: "Try again a little later." };
}

function runIn(text: string, runId: string): Result<FrozenRun, Trouble> {
  const foreign = (why: string) => {
    const hint = "Reload the page to get the version that the coordinator serves.";
    return err({ message: `The run cannot be read: ${why}.`, hint });
  };
  let event: unknown;
  try {
    const row: unknown = JSON.parse(text);
    const inner = typeof row === "object" && row !== null ? Reflect.get(row, "event") : null;
    event = JSON.parse(String(inner));
  } catch {
    return foreign("its first entry is not JSON");
  }
  const decoded = eventDecoder(event);
  if (!decoded.ok) return foreign(problemText(decoded.error));
  if (decoded.value.type !== "RunCreated") return foreign("its log begins with something else");
  const { run } = decoded.value;
  return runIdOf(run) === runId ? ok(run) : foreign("it is not the run that the link names");
}

export type OfferFacts = {
  readonly compute: "gpu" | "wasm" | null;
  readonly runtimeBytes: number;
  /** Of runtime and data, what this browser has already. */
  readonly keptBytes: number;
  /** What a page may take here, and what the person allows; the smaller one counts. */
  readonly memoryBytesMax: number;
  /** Free storage for this page; null where the browser does not tell. */
  readonly storageBytes: number | null;
};

export function offerOf(run: FrozenRun, facts: OfferFacts): Offer {
  const { compute, runtimeBytes, keptBytes, storageBytes } = facts;
  const files = run.dataset.files.map(({ byteLength }) => ({ length: byteLength }));
  const dataBytes = files.reduce((sum, { length }) => sum + length, 0);
  const covered = allFragments(run.fragments);
  const update = updateLayout(run.fragments, { codec: run.recipe.codec, covered });
  const { fit, why, memoryBytes } = fitOf(run, files, facts);
  const needsRoom = dataBytes > (storageBytes ?? Number.POSITIVE_INFINITY);
  const room = "The data does not fit in this browser’s storage: each visit downloads it again.";
  return {
    fit: compute === null ? "cannot" : needsRoom && fit === "fits" ? "perhaps" : fit,
    why: compute === null ? "This browser has no WebAssembly." : (why ?? (needsRoom ? room : null)),
    compute,
    runtimeBytes,
    dataBytes,
    weightsBytes: FLOAT_BYTES * parameterCount(run.model),
    keptBytes,
    // An update goes out, and everybody's progress, of the same form, comes back.
    roundBytes: 2 * update.byteLength,
    memoryBytes,
  };
}

function fitOf(
  run: FrozenRun,
  files: readonly { readonly length: number }[],
  { compute, memoryBytesMax }: OfferFacts,
): Pick<Offer, "fit" | "why" | "memoryBytes"> {
  const { model, recipe } = run;
  try {
    const { verdict, totalBytes } = planTraining({
      model,
      optimizer: optimizerOptions(recipe),
      batch: { sequences: recipe.batchSequences, contextLength: recipe.contextLength },
      evaluates: true,
      otherBytes: heldBytes(run, files),
      memoryBytesMax,
      ...(compute === "gpu"
        ? { microBatch: recipe.batchSequences, recomputation: "none" as const }
        : {}),
    });
    const memoryBytes = Math.round(totalBytes);
    if (verdict === "fits") return { fit: "fits", why: null, memoryBytes };
    const [need, may] = [memoryBytes, memoryBytesMax].map((bytes) => Math.ceil(bytes / 1e6));
    const why = `Training needs about ${need} MB of memory; this page may take about ${may} MB.`;
    return { fit: verdict === "tooLarge" ? "too-small" : "perhaps", why, memoryBytes };
  } catch (caught) {
    return {
      fit: "cannot",
      why: `This page cannot train the run: ${messageOf(caught)}.`,
      memoryBytes: 0,
    };
  }
}
