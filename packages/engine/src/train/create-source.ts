// Which source of gradients a trainer gets: whole graph or block by block, one thread or several.
// It deliberately holds no logic but this choice.
import type { Runtime } from "../runtime/runtime.ts";
import { BlockGradients } from "./block-gradients.ts";
import {
  type FlatArrays,
  type GradientSource,
  type MicroBatch,
  WholeGradients,
} from "./gradient-source.ts";
import { ParallelGradients } from "./parallel-gradients.ts";

export type SourceWork = {
  readonly micro: MicroBatch;
  readonly recomputation: "none" | "blocks";
  readonly arrays: FlatArrays;
};

/** One thread, or several within each operation. */
export function createLoneSource(
  device: { readonly runtime: Runtime; readonly threads: number },
  { micro, recomputation, arrays }: SourceWork,
): Promise<GradientSource> {
  const kind = recomputation === "blocks" ? BlockGradients : WholeGradients;
  return kind.create(device, micro, arrays);
}

/** Threads within each operation, or a team: threads with a share of the sequences each. */
export async function createSource(
  device: { readonly runtime: Runtime; readonly threads: number; readonly team: number },
  work: SourceWork,
): Promise<GradientSource> {
  const { runtime, team } = device;
  if (team > 1 && work.micro.sequences >= team && runtime.startThread) {
    const own = (micro: MicroBatch): Promise<GradientSource> =>
      createLoneSource({ runtime, threads: 1 }, { ...work, micro });
    const source = await ParallelGradients.create({ runtime, threads: team }, { ...work, own });
    if (source) return source;
  }
  return createLoneSource(device, work);
}
