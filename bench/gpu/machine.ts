// What the benchmark runs on, in words: processor, GPU, driver, PyTorch.
import { execFileSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";
import { explainFailure } from "./vulkan.ts";

export type Torch = { readonly version: string; readonly device: string; readonly name: string };
export type Machine = { readonly lines: readonly string[]; readonly torch: Torch | undefined };

const TORCH_FILE = "bench/gpu/torch_gpu.py";

function output(file: string, args: readonly string[]): string {
  return execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
}

/** @param python where PyTorch may be; nothing if it is not wanted */
export async function describeMachine(
  python: string | undefined,
  say: (line: string) => void,
): Promise<Machine> {
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  const processor = `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${gibibytes} GiB`;
  const lines = [`${processor}, Linux ${release()}, Node ${process.version}`];
  try {
    const query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"];
    lines.push(output("nvidia-smi", query));
  } catch {
    // Not NVIDIA's, or without its tools: the adapter speaks for itself.
  }
  let torch: Torch | undefined;
  try {
    if (python !== undefined) torch = JSON.parse(output(python, [TORCH_FILE, "info"])) as Torch;
  } catch (caught) {
    say(`without PyTorch: ${explainFailure(String(caught))}`);
  }
  if (torch) lines.push(`PyTorch ${torch.version} on ${torch.name} (${torch.device})`);
  return { lines, torch };
}

export const torchFile = TORCH_FILE;
