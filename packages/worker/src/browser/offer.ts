// What taking part would cost this device, and whether it fits, from the run's description alone:
// nothing heavy is loaded for it. Not a measurement: the first steps show the speed.

import { updateLayout } from "@manyhands/aggregation/codec/layout";
import { allFragments } from "@manyhands/aggregation/fragments";
import { messageOf } from "@manyhands/base/errors";
import { planTraining } from "@manyhands/engine/plan/plan-training";
import { blobsOf, type FrozenRun } from "@manyhands/protocol/run-config";
import { planAdapters } from "../compute/adapter-plan.ts";
import { heldBytes, optimizerOptions, sharedCount } from "../compute/run-facts.ts";
import type { Offer } from "./device-view.ts";

const FLOAT_BYTES = 4;

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
  // What is fetched once and kept: data, and the frozen base of a run that trains adapters.
  const dataBytes = blobsOf(run).reduce((sum, { byteLength }) => sum + byteLength, 0);
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
    weightsBytes: FLOAT_BYTES * sharedCount(run),
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
    const otherBytes = heldBytes(run, files);
    const device = { memoryBytesMax, otherBytes };
    const { verdict, totalBytes } =
      run.tuning?.method === "lora"
        ? planAdapters(run, run.tuning, device)
        : planTraining({
            model,
            optimizer: optimizerOptions(recipe),
            batch: { sequences: recipe.batchSequences, contextLength: recipe.contextLength },
            evaluates: true,
            ...device,
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
