// The engines that are compared, and what must be installed for them, into .cache/, outside the
// project's own dependencies.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import type { Command } from "./child.ts";
import type { BenchModel } from "./models.ts";

export type Engine = {
  readonly name: string;
  readonly command: Command;
  /** Whether it takes part in this comparison. */
  readonly runs: (model: BenchModel, threads: number) => boolean;
  /** The slow ones take one step a turn, for two turns. */
  readonly slow?: boolean;
};

const OTHERS = ".cache/bench-engine";
const PYTHON = ".cache/interop-venv/bin/python";
const PACKAGES = [
  "@tensorflow/tfjs@4.22.0",
  "@tensorflow/tfjs-backend-wasm@4.22.0",
  "@jax-js/jax@0.1.25",
];
const FOLDER = "bench/engine/engines";

const node = (...args: string[]): Command => ({ file: process.execPath, args });

function torch(mode: "plain" | "sdpa" | "compile"): Command {
  return { file: PYTHON, args: [`${FOLDER}/torch_engine.py`, mode] };
}

const onSmallLlama = ({ name, shape }: BenchModel): boolean =>
  name === "small" && shape === "llama";

/** Ours first; PyTorch's two attentions are one row in the end: the better of them. */
export const ENGINES: readonly Engine[] = [
  { name: "manyhands", command: node(`${FOLDER}/ours.ts`, "operations"), runs: () => true },
  {
    name: "manyhands, sequences shared",
    command: node(`${FOLDER}/ours.ts`, "sequences"),
    runs: (_model, threads) => threads > 1,
  },
  { name: "PyTorch plain", command: torch("plain"), runs: () => true },
  { name: "PyTorch SDPA", command: torch("sdpa"), runs: () => true },
  { name: "torch.compile", command: torch("compile"), runs: () => true },
  {
    name: "tfjs wasm",
    command: node(`${FOLDER}/tfjs.ts`),
    runs: (model, threads) => onSmallLlama(model) && threads === 1,
    slow: true,
  },
  { name: "jax-js wasm", command: node(`${FOLDER}/jax-js.ts`), runs: onSmallLlama, slow: true },
];

/** Text from the same exported folder: the first against the second. */
export const GENERATORS: readonly { readonly name: string; readonly command: Command }[] = [
  { name: "manyhands", command: node(`${FOLDER}/generate_ours.ts`) },
  {
    name: "transformers",
    command: { file: PYTHON, args: [`${FOLDER}/generate_transformers.py`] },
  },
];

/** Makes what the engines need. */
export function install(say: (line: string) => void): void {
  if (!existsSync(PYTHON)) {
    throw new Error("PyTorch is missing; npm run test:interop makes its environment in .cache/");
  }
  if (existsSync(`${OTHERS}/node_modules`)) return;
  say(`installing ${PACKAGES.join(", ")} into ${OTHERS}`);
  mkdirSync(OTHERS, { recursive: true });
  const args = ["install", "--prefix", OTHERS, "--no-save", "--ignore-scripts", ...PACKAGES];
  execFileSync("npm", args, { stdio: "inherit" });
}
