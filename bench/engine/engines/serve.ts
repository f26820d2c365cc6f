// The child's side of the line protocol, for engines in JavaScript: see child.ts.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Job } from "../models.ts";

export type ServedEngine = {
  /** @returns the engine's version */
  readonly init: (job: Job) => Promise<string>;
  /** One training step on the next batch. @returns its loss before the update */
  readonly step: () => Promise<number>;
};

/** Answers until the input ends. */
export async function serve(engine: ServedEngine): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const message = JSON.parse(line) as { init?: Job; steps?: number };
    const version = message.init && (await engine.init(message.init));
    const turn = await timed(engine, message.steps ?? 1);
    process.stdout.write(`${JSON.stringify({ ...turn, ...(version && { version }) })}\n`);
  }
}

async function timed(engine: ServedEngine, steps: number): Promise<object> {
  const ms: number[] = [];
  const cpuMs: number[] = [];
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const [start, cpu] = [performance.now(), process.cpuUsage()];
    losses.push(await engine.step());
    ms.push(performance.now() - start);
    const { user, system } = process.cpuUsage(cpu);
    cpuMs.push((user + system) / 1000);
  }
  return { ms, cpuMs, losses, peakMiB: process.resourceUsage().maxRSS / 1024 };
}

/** A file's bytes in a buffer of their own, so that numbers may be read from its start. */
export function bytesOf(path: string): ArrayBuffer {
  return Uint8Array.from(readFileSync(path)).buffer;
}
