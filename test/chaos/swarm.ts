// A real swarm for the chaos test: one coordinator process, several worker processes, and ways to
// kill them. Only processes that were started here are ever signalled.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Process } from "../process.ts";

const CORPUS = join(import.meta.dirname, "../../examples/shakespeare/input.txt");
const CORPUS_BYTES = 200_000;

/** Small, so that rounds are short and a kill falls into every part of one. */
const RUN_FILE = `
name: chaos
model:
  vocabSize: 256
  hiddenSize: 32
  intermediateSize: 64
  numHiddenLayers: 2
  numAttentionHeads: 2
  numKeyValueHeads: 1
  maxPositionEmbeddings: 32
tokenizer: bytes
data:
  files: [corpus.txt]
  validation: 0.1
recipe:
  learningRate: 0.02
  contextLength: 32
  batchSequences: 16
  innerSteps: 8
rounds:
  workersMin: 2
  wait: 5s
  lease: 3s
  longest: 5s
budget:
  minutes: MINUTES
seed: 7
`;

export class Swarm {
  readonly folder: string;
  readonly runFolder: string;
  coordinator: Process;
  readonly workers: Process[] = [];
  #port = 0;
  #joinUrl = "";

  private constructor(folder: string) {
    this.folder = folder;
    this.runFolder = join(folder, "run");
    this.coordinator = this.#startCoordinator();
  }

  static async start(
    folder: string,
    options: { workers: number; minutes: number },
  ): Promise<Swarm> {
    const corpus = await readFile(CORPUS);
    await writeFile(join(folder, "corpus.txt"), corpus.subarray(0, CORPUS_BYTES));
    const text = RUN_FILE.replace("MINUTES", String(options.minutes));
    await writeFile(join(folder, "run.yaml"), text);
    const swarm = new Swarm(folder);
    const [joinUrl = ""] = await swarm.coordinator.says(
      /http:\/\/127\.0\.0\.1:\d+\/runs\/\S+?(?=')/,
    );
    swarm.#joinUrl = joinUrl;
    swarm.#port = Number(new URL(joinUrl).port);
    for (let index = 0; index < options.workers; index++) await swarm.startWorker(index);
    return swarm;
  }

  #startCoordinator(): Process {
    const flags = ["--host", "127.0.0.1", "--port", String(this.#port), "--out", this.runFolder];
    return new Process(["up", join(this.folder, "run.yaml"), ...flags]);
  }

  restartCoordinator(): void {
    this.coordinator = this.#startCoordinator();
  }

  async startWorker(index: number): Promise<void> {
    const folder = this.workerFolder(index);
    await mkdir(folder, { recursive: true });
    const flags = ["--folder", folder, "--name", `worker ${index}`, "--json"];
    this.workers[index] = new Process(["join", this.#joinUrl, ...flags]);
  }

  workerFolder(index: number): string {
    return join(this.folder, `worker-${index}`);
  }

  /** Every receipt that a worker has written down. */
  async receipts(): Promise<{ readonly round: number; readonly updateRoot: string }[]> {
    const all: { round: number; updateRoot: string }[] = [];
    for (const index of this.workers.keys()) {
      const runs = join(this.workerFolder(index), "runs");
      for (const run of await readdir(runs).catch(() => [])) {
        const text = await readFile(join(runs, run, "receipts.ndjson"), "utf8").catch(() => "");
        // A kill may tear the last line; a torn line was never acted upon.
        const lines = text.split("\n").filter((line) => line.endsWith("}"));
        all.push(...lines.map((line) => JSON.parse(line) as { round: number; updateRoot: string }));
      }
    }
    return all;
  }

  async end(): Promise<void> {
    const running = [this.coordinator, ...this.workers].filter((process) => process.running);
    await Promise.all(running.map((process) => process.kill()));
  }
}
