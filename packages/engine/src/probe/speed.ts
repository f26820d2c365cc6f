// How fast a backend multiplies matrices, in a fraction of a second. What training spends most of
// its time on, so it predicts the order of backends; it deliberately predicts no tokens per second.
import * as ir from "../ir/ops.ts";
import { type Graph, graphOf } from "../ir/tensor.ts";
import type { StatefulRuntime } from "../runtime/runtime.ts";

export type Speed = {
  readonly flopsPerSecond: number;
  /** Until the first result was there. */
  readonly startMs: number;
};

/** Sides of the matrices, small to large: small ones show overhead, large ones throughput. */
const SIDES = [64, 256, 512, 1024, 2048] as const;
const PRODUCTS = 4;
/** The next size costs eight times as much: it is tried only where it surely fits. */
const GROWTH = 8;

/** state [n, n] → state · state · … / n, PRODUCTS times; only one number comes back. */
function chain(side: number): Graph {
  const state = ir.input("state", [side, side]);
  let x = state;
  for (let i = 0; i < PRODUCTS; i++) x = ir.matmul(x, state, { scale: 1 / side });
  return graphOf({ next: x, sum: ir.reduceSum(x, [0, 1]) });
}

/**
 * Times growing matrices until the duration is used up; the largest that was timed counts.
 *
 * @param open       loads the backend; its time is part of startMs
 * @param now        milliseconds that only grow
 * @param durationMs counts from the first result: loading and compiling are no speed
 */
export async function measureSpeed(
  open: () => Promise<StatefulRuntime>,
  now: () => number,
  durationMs: number,
): Promise<Speed> {
  const opened = now();
  const runtime = await open();
  let speed: Speed | undefined;
  let end = Number.POSITIVE_INFINITY;
  for (const side of SIDES) {
    const executable = await runtime.compileStateful({
      graph: chain(side),
      carried: [{ output: "next", input: "state" }],
    });
    // All ones: every product is all ones again, without denormals or infinities.
    await executable.load({ state: new Float32Array(side * side).fill(1) });
    await executable.run({});
    const start = now();
    if (speed === undefined) end = start + durationMs;
    await executable.run({});
    // Clocks of pages are coarse: a run that takes no time at all took less than one millisecond.
    const tookMs = Math.max(now() - start, 0.05);
    await executable.dispose();
    const flops = PRODUCTS * 2 * side ** 3;
    speed = { flopsPerSecond: (flops * 1000) / tookMs, startMs: speed?.startMs ?? start - opened };
    if (now() + 2 * GROWTH * tookMs > end) break;
  }
  return speed ?? { flopsPerSecond: 0, startMs: now() - opened };
}
