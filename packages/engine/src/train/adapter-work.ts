// What the passes over a frozen model share: what they work with, what they are given, and how a
// stored tensor is fed. It deliberately runs nothing.
import type { BaseModel } from "../quantize/base-model.ts";
import type { Feeds, Runtime } from "../runtime/runtime.ts";
import { type AdapterSetup, scalesName } from "./adapter-graphs.ts";

export type AdapterWork = {
  readonly runtime: Runtime;
  readonly threads: number;
  readonly setup: AdapterSetup;
  readonly base: BaseModel;
  readonly seed: number;
  /** Awaited after each block: lets others have their turn. */
  readonly turn: () => Promise<void>;
};

/** A micro-batch: ids [N]; targets [N], −1 where nothing counts; share [N], what each counts. */
export type AdapterBatch = {
  readonly ids: Int32Array;
  readonly targets: Int32Array;
  readonly share: Float32Array;
};

/** A stored tensor under a graph's name, with its scales if it has any. */
export function storedFeeds(base: BaseModel, name: string, as: string): Feeds {
  const { data, scales } = base.tensor(name);
  return scales.length > 0 ? { [as]: data, [scalesName(as)]: scales } : { [as]: data };
}
