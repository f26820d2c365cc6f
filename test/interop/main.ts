// interop: makes exports (or takes one), lets Python check them, reads what Python wrote, counts.
// Not part of npm test, which needs no Python.
//
// Usage: main.ts <python> <work folder> [<export folder> [<data file> [<context length>]]]
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { compareText } from "@manyhands/base/bytes";
import { readExportFolder } from "@manyhands/engine/checkpoint/node-folder";
import { readSafetensors } from "@manyhands/engine/checkpoint/safetensors";
import { contextLimit } from "@manyhands/engine/model/config";
import { decodeTokens } from "@manyhands/engine/tokenizer/bytes";
import { caseOf, type InteropCase, ownExports } from "./cases.ts";
import { HOSTILE_BYTES, HOSTILE_TEXTS } from "./hostile.ts";

type Check = { readonly name: string; readonly ok: boolean; readonly detail: string };

const ROOT = join(import.meta.dirname, "..", "..");
const SHAKESPEARE = join(ROOT, "examples", "shakespeare", "input.txt");

async function main(args: readonly string[]): Promise<number> {
  const [python = "", work = "", folder, data = SHAKESPEARE, context] = args;
  const cases = folder
    ? [await givenExport({ work, folder, data, context })]
    : await ownExports(work, SHAKESPEARE);
  const texts = [...HOSTILE_TEXTS];
  const decodings = HOSTILE_BYTES.map((bytes) => ({ ids: bytes, text: decodeTokens(bytes) }));
  writeFileSync(join(work, "plan.json"), JSON.stringify({ work, cases, texts, decodings }));
  const checks = pythonChecks(python, work);
  if (checks.every((check) => check.ok)) {
    checks.push(...pythonTensors(work));
    for (const each of cases) checks.push(await savedByTransformers(each));
  } else {
    checks.push({ name: "reads what Python wrote", ok: false, detail: "not tried: see above" });
  }
  for (const { ok, name, detail } of checks)
    console.log(`${ok ? "ok  " : "FAIL"} ${name}: ${detail}`);
  const failed = checks.filter((check) => !check.ok).length;
  console.log(`interop: ${checks.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

type Given = { work: string; folder: string; data: string; context: string | undefined };

/** An export that a run made; a summary.json beside it says what the run measured. */
async function givenExport(given: Given): Promise<InteropCase> {
  const folder = resolve(given.folder);
  const { config } = await readExportFolder(folder);
  const contextLength = Number(given.context ?? contextLimit(config));
  const made = await caseOf({ ...given, name: "given", folder, contextLength });
  return { ...made, claimedLoss: claimedLoss(join(dirname(folder), "summary.json")) };
}

function claimedLoss(path: string): number | null {
  try {
    const summary: unknown = JSON.parse(readFileSync(path, "utf8"));
    const loss: unknown = Reflect.get(Object(summary), "valLoss");
    return typeof loss === "number" ? loss : null;
  } catch {
    // No summary: an export may stand alone. Then there is no claim to check.
    return null;
  }
}

/** Runs check.py, which prints one JSON line per check. */
function pythonChecks(python: string, work: string): Check[] {
  const script = join(import.meta.dirname, "check.py");
  const run = spawnSync(python, [script, join(work, "plan.json")], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = (run.stdout ?? "").split("\n").filter((line) => line.startsWith("{"));
  const checks = lines.map((line) => JSON.parse(line) as Check);
  const detail = run.error ? run.error.message : `exit ${run.status}, ${checks.length} checks`;
  checks.push({ name: "check.py ran to its end", ok: run.status === 0, detail });
  return checks;
}

/** Python's safetensors wrote python.safetensors, and each tensor's bytes as a file of its own. */
function pythonTensors(work: string): Check[] {
  const read = readSafetensors(readFileSync(join(work, "python.safetensors")));
  if (!read.ok) return [{ name: "reads Python's safetensors", ok: false, detail: read.error.code }];
  const shapes = JSON.parse(readFileSync(join(work, "python-shapes.json"), "utf8")) as {
    readonly [name: string]: readonly number[];
  };
  const names = read.value.tensors.map((tensor) => tensor.name).sort(compareText);
  const expected = Object.keys(shapes).sort(compareText);
  const checks: Check[] = [
    {
      name: "reads Python's safetensors",
      ok: names.join() === expected.join() && read.value.metadata["who"] === "Python ☃",
      detail: `${names.length} tensors`,
    },
  ];
  for (const { name, shape, values } of read.value.tensors) {
    const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    const same = bytes.equals(readFileSync(join(work, `python-${name}.f32`)));
    const ok = same && shape.join() === shapes[name]?.join();
    checks.push({ name: `Python's tensor ${name}`, ok, detail: `(${shape.join(", ")})` });
  }
  return checks;
}

/** transformers loaded the export and saved it again: we read back the same model, bit for bit. */
async function savedByTransformers(each: InteropCase): Promise<Check> {
  const name = `${each.name}: we read what transformers saved`;
  const before = await readExportFolder(each.folder);
  const after = await readExportFolder(each.savedFolder);
  const config = JSON.stringify(before.config) === JSON.stringify(after.config);
  const bits = (weights: Float32Array): Buffer =>
    Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength);
  const weights = bits(before.weights).equals(bits(after.weights));
  return { name, ok: config && weights, detail: `config ${config}, weights ${weights}` };
}

process.exitCode = await main(process.argv.slice(2));
