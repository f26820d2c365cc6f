// A training step on the GPU, by ONNX Runtime's WebGPU in Node, beside PyTorch where that is.
// pack.ts makes an archive of this for machines without a network; there it is started by ./run.
//   node bench/gpu/main.ts [--models small,big,124m] [--shapes llama,gpt2] [--sequences N]
//     [--turns 3] [--steps N] [--sides 1024,2048,4096,8192] [--python python3] [--no-torch]
//     [--cpu] [--json FILE]
// --models tiny tries everything in seconds, also on a software adapter.
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { BenchModel } from "../engine/models.ts";
import { askForGpu, measurePeaks, serveEngine } from "./child.ts";
import { describeMachine } from "./machine.ts";
import { measure } from "./measure.ts";
import { GPU_MODELS, PEAK_SIDES } from "./models.ts";
import { torchPeaks, webGpuPeaks } from "./peaks.ts";
import { markdown, type Report } from "./report.ts";
import { findGpu } from "./vulkan.ts";

const { values } = parseArgs({
  options: {
    child: { type: "string" },
    models: { type: "string", default: "small,big,124m" },
    shapes: { type: "string", default: "llama,gpt2" },
    sequences: { type: "string" },
    turns: { type: "string", default: "3" },
    steps: { type: "string" },
    sides: { type: "string", default: PEAK_SIDES.join(",") },
    python: { type: "string", default: "python3" },
    "no-torch": { type: "boolean", default: false },
    cpu: { type: "boolean", default: false },
    json: { type: "string" },
  },
});

const NO_GPU = 3;
const jsonFile = values.json && resolve(values.json);
const say = (line: string): void => void process.stderr.write(`${line}\n`);

function chosenModels(): readonly BenchModel[] {
  const [names, shapes] = [values.models.split(","), values.shapes.split(",")];
  const sequences = values.sequences === undefined ? undefined : Number(values.sequences);
  return GPU_MODELS.filter(({ name }) => names.includes(name))
    .filter(({ name, shape }) => name === "124m" || shapes.includes(shape))
    .map((model) => ({
      ...model,
      stepsPerTurn: values.steps === undefined ? model.stepsPerTurn : Number(values.steps),
      batch: sequences === undefined ? model.batch : { ...model.batch, sequences },
    }));
}

async function main(): Promise<number> {
  const self = process.argv[1] ?? "";
  const child = (kind: string): readonly string[] => [process.execPath, self, "--child", kind];
  const shipped = join(import.meta.dirname, "lib");
  const gpu = await findGpu(child("ask"), shipped);
  if ("reason" in gpu) {
    say(`no GPU: ${gpu.reason}. ${gpu.hint}.`);
  } else {
    say(`WebGPU answers, by ${gpu.how}`);
  }
  const torch = values["no-torch"] ? undefined : values.python;
  const machine = await describeMachine(torch, say);
  if (!("env" in gpu) && !machine.torch && !values.cpu) return NO_GPU;
  const sides = values.sides.split(",").map(Number);
  const peaks = [
    ...("env" in gpu
      ? await webGpuPeaks([...child("peak"), "--sides", values.sides], gpu.env)
      : []),
    ...(machine.torch ? await torchPeaks(values.python, sides) : []),
  ];
  for (const { engine, side, tflops } of peaks)
    say(`  peak ${engine}, ${side}²: ${tflops} TFLOP/s`);
  const folder = await mkdtemp(join(tmpdir(), "manyhands-bench-gpu-"));
  try {
    const plan = { turns: Number(values.turns), folder, child, python: values.python };
    const engines = { gpu: "env" in gpu ? gpu : undefined, torch: machine.torch, cpu: values.cpu };
    const rows = await measure(chosenModels(), { ...plan, ...engines, peaks, say });
    const report: Report = {
      command: `./run ${process.argv.slice(2).join(" ")}`.trim(),
      machine: machine.lines,
      gpu: "env" in gpu ? gpu.how : `none: ${gpu.reason}. ${gpu.hint}.`,
      peaks,
      rows,
    };
    process.stdout.write(`${markdown(report)}\n`);
    if (jsonFile) await writeFile(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return "env" in gpu ? 0 : NO_GPU;
}

// Weights and texts are read relative to the root of the checkout, or of the archive.
const root = join(import.meta.dirname, "../..");
if (existsSync(join(root, "examples/shakespeare"))) process.chdir(root);

if (values.child === "ask") await askForGpu();
else if (values.child === "peak") await measurePeaks(values.sides.split(",").map(Number));
else if (values.child === "webgpu" || values.child === "cpu") await serveEngine(values.child);
else process.exitCode = await main();
// Threads of the runtime's GPU library would keep a child alive.
process.exit();
