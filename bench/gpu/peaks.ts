// The machine's peak of matrix products, through each runtime: the best of some sizes.
// What cannot be measured is left out: the largest size may not fit.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { torchFile } from "./machine.ts";
import type { Environment } from "./vulkan.ts";

export type EnginePeak = {
  readonly engine: string;
  readonly side: number;
  readonly tflops: number;
};

const TIME_LIMIT_MS = 300_000;

/** Lines of JSON of a process, as far as it came. */
async function linesOf(command: readonly string[], env: Environment): Promise<readonly unknown[]> {
  const [file = "", ...args] = command;
  const stdio = ["ignore", "pipe", "ignore"] as const;
  const options = { env: { ...process.env, ...env }, timeout: TIME_LIMIT_MS };
  const child = spawn(file, args, { ...options, stdio: [...stdio] });
  const failed = new Promise<void>((resolve) => child.once("error", () => resolve()));
  const lines: unknown[] = [];
  const { stdout } = child;
  if (stdout === null) return lines;
  const reading = (async () => {
    for await (const line of createInterface({ input: stdout })) {
      if (line.startsWith("{")) lines.push(JSON.parse(line));
    }
  })();
  await Promise.race([reading, failed]);
  return lines;
}

export async function webGpuPeaks(
  command: readonly string[],
  env: Environment,
): Promise<readonly EnginePeak[]> {
  const lines = (await linesOf(command, env)) as readonly { side: number; tflops: number }[];
  return lines.map(({ side, tflops }) => ({ engine: "WebGPU fp32", side, tflops }));
}

export async function torchPeaks(
  python: string,
  sides: readonly number[],
): Promise<readonly EnginePeak[]> {
  const lines = (await linesOf([python, torchFile, "peak", sides.join(",")], {})) as readonly {
    policy: string;
    side: number;
    tflops: number;
  }[];
  return lines.map(({ policy, side, tflops }) => ({
    engine: `PyTorch ${policy}`,
    side,
    tflops: Number(tflops.toPrecision(3)),
  }));
}

/** The best size of an engine. */
export function bestPeak(peaks: readonly EnginePeak[], engine: string): number | undefined {
  const own = peaks.filter((peak) => peak.engine === engine).map(({ tflops }) => tflops);
  return own.length === 0 ? undefined : Math.max(...own);
}
