// Adapters of every kind on every model: ours for peft, merged ones for transformers, and peft's
// for us.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "@manyhands/base/random";
import { type AdapterConfig, adapterPlaces } from "@manyhands/engine/adapters/config";
import { ModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import { writeMergedModel } from "@manyhands/engine/convert/merged-model";
import { withAdapter } from "@manyhands/engine/convert/weight-source";
import {
  readAdapterFolder,
  type SavedAdapter,
  writeAdapterFolder,
} from "@manyhands/engine/peft/adapter-folder";
import { logitsOf } from "./logits.ts";
import type { Check, Tuned } from "./tuned.ts";

const LOGITS_DIFFERENCE_MAX = 1e-3;

const KINDS: readonly [string, Partial<AdapterConfig>][] = [
  ["LoRA", {}],
  ["rsLoRA", { useRslora: true }],
  ["DoRA", { useDora: true }],
];
/** Merged models are written in each type; the adapter's kind does not matter to it. */
const TYPES = { LoRA: "f32", rsLoRA: "f16", DoRA: "bf16" } as const;
const TORCH = { f32: "float32", f16: "float16", bf16: "bfloat16" } as const;

type Made = {
  readonly name: string;
  readonly base: string;
  readonly folder: string;
  readonly logits: string;
  readonly tokens: readonly number[];
  readonly targets: readonly string[];
  readonly rslora: boolean;
  readonly dora: boolean;
};

export type AdapterPlan = {
  readonly adapters: readonly object[];
  readonly merged: readonly object[];
  readonly make: readonly Made[];
};

export async function adapterCases(models: readonly Tuned[]): Promise<{ plan: AdapterPlan }> {
  const [adapters, merged, make]: [object[], object[], Made[]] = [[], [], []];
  for (const tuned of models) {
    for (const [index, [kind, options]] of KINDS.entries()) {
      const own = await writeOne(tuned, kind, options);
      adapters.push(own.adapter);
      merged.push(own.merged);
      make.push(makeCase(tuned, kind, index));
    }
  }
  return { plan: { adapters, merged, make } };
}

async function writeOne(
  tuned: Tuned,
  kind: string,
  options: Partial<AdapterConfig>,
): Promise<{ adapter: object; merged: object }> {
  const base = await ModelFolder.open(tuned.model);
  const at = (name: string): string => join(tuned.folder, `${kind}-${name}`);
  const tokens = tuned.windows[0] ?? [];
  const adapter = { r: 6, loraAlpha: 9, targetModules: "all-linear", ...options } as const;
  const saved = await randomAdapter(base, adapter);
  await writeAdapterFolder(at("adapter"), {
    model: base.config,
    saved,
    tokenizerFrom: tuned.model,
  });
  writeLogits(at("logits.f32"), await logitsOf(await withAdapter(base, saved), [tokens]));
  const dtype = TYPES[kind as keyof typeof TYPES];
  await writeMergedModel({
    ...{ base: tuned.model, adapter: at("adapter"), target: at("merged"), dtype },
    // Small enough that all but the smallest models are cut.
    shardBytes: 600_000,
  });
  await base.close();
  const again = await ModelFolder.open(at("merged"));
  writeLogits(at("merged.f32"), await logitsOf(again, [tokens]));
  await again.close();
  const shared = { tokens, base: tuned.model };
  return {
    adapter: {
      ...{ ...shared, name: `${tuned.name}: peft loads our ${kind}` },
      ...{ adapter: at("adapter"), logits: at("logits.f32") },
    },
    merged: {
      ...{ ...shared, name: `${tuned.name}: transformers loads our merged ${kind}` },
      ...{ merged: at("merged"), mergedLogits: at("merged.f32"), mergedType: TORCH[dtype] },
    },
  };
}

/** Random A and B; magnitudes near the norms of the base, as training leaves them. */
async function randomAdapter(base: ModelFolder, adapter: AdapterConfig): Promise<SavedAdapter> {
  const places = adapterPlaces(base.config, adapter);
  const last = places.at(-1);
  const weights = new Float32Array(last ? last.offset + last.size : 0);
  const random = new Random(5, 0);
  for (const { name, offset, size } of places) {
    const magnitude = name.endsWith("magnitude_vector");
    const spread = name.includes("lora_A") ? 0.2 : 0.06;
    for (let i = offset; i < offset + size; i++) {
      weights[i] = magnitude ? 1 + random.unit() : spread * (2 * random.unit() - 1);
    }
  }
  return { adapter, weights, baseModel: base.folder, revision: null };
}

function makeCase(tuned: Tuned, kind: string, index: number): Made {
  const gpt2 = tuned.name === "GPT-2";
  const some = gpt2 ? ["c_attn", "mlp.c_proj"] : ["q_proj", "v_proj", "down_proj"];
  const all = gpt2 ? ["c_attn", "c_proj", "c_fc"] : [...some, "k_proj", "o_proj", "gate_proj"];
  return {
    name: `${tuned.name}: peft makes ${kind}`,
    base: tuned.model,
    folder: join(tuned.folder, `${kind}-peft`),
    logits: join(tuned.folder, `${kind}-peft.f32`),
    tokens: tuned.windows[0] ?? [],
    targets: index % 2 === 0 ? all : some,
    rslora: kind === "rsLoRA",
    dora: kind === "DoRA",
  };
}

/** What peft wrote, read by us: the logits are peft's. */
export async function readPeftAdapters(made: readonly Made[]): Promise<readonly Check[]> {
  const checks: Check[] = [];
  for (const each of made) {
    const base = await ModelFolder.open(each.base);
    const name = each.name.replace("peft makes", "we load peft's");
    try {
      const saved = await readAdapterFolder(each.folder, base.config);
      const [ours = new Float32Array()] = await logitsOf(await withAdapter(base, saved), [
        each.tokens,
      ]);
      const theirs = floatsIn(each.logits);
      const worst = ours.reduce((most, x, i) => Math.max(most, Math.abs(x - (theirs[i] ?? 0))), 0);
      const ok = ours.length === theirs.length && worst <= LOGITS_DIFFERENCE_MAX;
      checks.push({ name, ok, detail: `logits differ by at most ${worst.toExponential(1)}` });
    } catch (caught) {
      checks.push({ name, ok: false, detail: String(caught) });
    } finally {
      await base.close();
    }
  }
  return checks;
}

function floatsIn(path: string): Float32Array {
  const bytes = readFileSync(path);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset), 0, bytes.length / 4);
}

function writeLogits(path: string, [logits]: readonly Float32Array[]): void {
  writeFileSync(path, new Uint8Array((logits ?? new Float32Array()).buffer));
}
