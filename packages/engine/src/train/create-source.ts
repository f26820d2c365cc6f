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

/**
 * Several threads share the sequences where the runtime has threads and there is a sequence for
 * each; else they share each operation.
 */
export async function createSource(
  device: { readonly runtime: Runtime; readonly threads: number },
  work: SourceWork,
): Promise<GradientSource> {
  const { runtime, threads } = device;
  if (threads > 1 && work.micro.sequences >= threads && runtime.startThread) {
    const own = (micro: MicroBatch): Promise<GradientSource> =>
      createLoneSource({ runtime, threads: 1 }, { ...work, micro });
    const team = await ParallelGradients.create(device, { ...work, own });
    if (team) return team;
  }
  return createLoneSource(device, work);
}
