// hub: one cache, two programs. What we fetched, huggingface_hub and transformers use without a
// byte more; what they fetched, we use. Both ask the same local server, which answers like the Hub.
// Not part of npm test, which needs no Python.
//
// Usage: hub.ts <python> <work folder> <folder of a model>
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { importModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import { resolveModel } from "@manyhands/hub/resolve";
import { FakeHub } from "@manyhands/hub/testing/fake-hub";

const COMMIT = "89abcdef0123456789abcdef0123456789abcdef";
const REPO = "org/tiny";

type Seen = {
  readonly folder: string;
  readonly config: string;
  readonly class: string;
  readonly sum: number;
  readonly repos: readonly string[];
  readonly warnings: readonly string[];
};

let failed = 0;

function check(name: string, ok: boolean, detail: string): void {
  if (!ok) failed += 1;
  console.log(`${ok ? "ok  " : "FAIL"} ${name}: ${detail}`);
}

async function main(python: string, work: string, model: string): Promise<void> {
  rmSync(work, { recursive: true, force: true });
  const hub = await FakeHub.start();
  const files = readdirSync(model).map((name) => {
    const bytes = readFileSync(join(model, name));
    return [name, { bytes, large: name.endsWith(".safetensors") }] as const;
  });
  const token = "hf_of_the_test";
  hub.repos.set(REPO, { commit: COMMIT, revisions: ["main"], files: new Map(files), token });
  const environment = (name: string, offline: boolean): Record<string, string> => {
    const HF_HOME = join(work, name);
    mkdirSync(HF_HOME, { recursive: true });
    const own = { HF_HOME, HF_ENDPOINT: hub.endpoint, HF_TOKEN: token, HF_HUB_DISABLE_XET: "1" };
    return { ...own, HF_HUB_OFFLINE: offline ? "1" : "0" };
  };
  try {
    await oursFirst(hub, python, environment);
    await theirsFirst(hub, python, environment);
  } finally {
    await hub.stop();
  }
  console.log(`hub: ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

type Environments = (name: string, offline: boolean) => Record<string, string>;

async function oursFirst(hub: FakeHub, python: string, env: Environments): Promise<void> {
  const { folder } = await resolveModel(`hf:${REPO}`, { env: env("ours", false) });
  const { weights } = await importModelFolder(folder);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const sent = hub.sent;
  check("we fetch a model", sent > 0, `${sent} bytes`);
  for (const offline of [false, true]) {
    const seen = await theirs(python, env("ours", offline));
    const same = seen.folder === folder && seen.config === join(folder, "config.json");
    const where = offline ? "offline" : "online";
    check(`${where}, huggingface_hub finds our snapshot`, same, seen.folder);
    check(`${where}, without a byte of a file`, hub.sent === sent, `${hub.sent - sent} bytes`);
    const equal = Math.abs(seen.sum - sum) < 1e-3 && seen.class === "LlamaForCausalLM";
    check(`${where}, transformers loads it by its name`, equal, `${seen.class}, Σ ${seen.sum}`);
    const sound = seen.repos.join() === REPO && seen.warnings.length === 0;
    check(`${where}, its scan finds nothing wrong`, sound, seen.warnings.join("; ") || "sound");
  }
}

async function theirsFirst(hub: FakeHub, python: string, env: Environments): Promise<void> {
  const before = hub.sent;
  const seen = await theirs(python, env("theirs", false));
  const sent = hub.sent;
  check("huggingface_hub fetches it", sent > before, `${sent - before} bytes`);
  for (const offline of [false, true]) {
    const model = await resolveModel(`hf:${REPO}`, { env: env("theirs", offline) });
    const same = model.folder === seen.folder && model.fromCache && hub.sent === sent;
    const where = offline ? "offline" : "online";
    check(`${where}, we use its snapshot`, same, `${hub.sent - sent} bytes more`);
  }
}

/** Runs hub.py beside the server, which this process is. */
async function theirs(python: string, env: Record<string, string>): Promise<Seen> {
  const script = join(import.meta.dirname, "hub.py");
  const run = spawn(python, [script, REPO], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, error] = ["", ""];
  run.stdout.on("data", (piece: Buffer) => {
    out += piece.toString();
  });
  run.stderr.on("data", (piece: Buffer) => {
    error += piece.toString();
  });
  const { promise, resolve } = Promise.withResolvers<number | null>();
  run.on("close", resolve);
  const code = await promise;
  if (code !== 0) throw new Error(`hub.py: exit ${code}\n${error.slice(-2_000)}`);
  return JSON.parse(out.trim().split("\n").at(-1) ?? "");
}

await main(process.argv[2] ?? "", process.argv[3] ?? "", process.argv[4] ?? "");
