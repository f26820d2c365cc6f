// Models as GGUF files of every type, with what each tensor must mean, for the gguf package.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "@manyhands/base/random";
import { exportFiles } from "@manyhands/engine/checkpoint/export";
import { ModelFolder } from "@manyhands/engine/checkpoint/model-folder";
import { writeExportFolder } from "@manyhands/engine/checkpoint/node-folder";
import { GGUF_TYPES, type GgufType, writeGguf } from "@manyhands/engine/convert/gguf-file";
import { withAdapter } from "@manyhands/engine/convert/weight-source";
import { decodeBlocks, encodeBlocks } from "@manyhands/engine/gguf/blocks";
import { initialWeights } from "@manyhands/engine/model/initial-weights";
import { readGguf } from "@manyhands/engine/testing/read-gguf";
import { logitsOf, lossOf } from "./logits.ts";
import type { Check, Tuned } from "./tuned.ts";

export type GgufFile = {
  readonly model: Tuned;
  readonly type: GgufType;
  readonly adapted: boolean;
  readonly file: string;
  /** Our loss on the model's windows, with the weights before they were stored in blocks. */
  readonly loss: number;
};

export type GgufCases = {
  readonly plan: { readonly gguf: readonly object[]; readonly blocks: readonly object[] };
  readonly files: readonly GgufFile[];
  readonly checks: readonly Check[];
};

export async function ggufCases(models: readonly Tuned[], work: string): Promise<GgufCases> {
  const files: GgufFile[] = [];
  const checks: Check[] = [];
  for (const model of [...models, await bytesModel(work)]) {
    const plain = await lossWith(model, undefined);
    const close = Math.abs(plain - model.loss) <= 1e-3 || Number.isNaN(model.loss);
    const detail = `${plain.toFixed(5)} and ${model.loss.toFixed(5)}`;
    checks.push({ name: `${model.name}: our loss is transformers'`, ok: close, detail });
    for (const type of GGUF_TYPES) {
      const file = join(model.folder, `${type}.gguf`);
      await writeGguf({ model: model.model, target: file, type });
      files.push({ model, type, adapted: false, file, loss: plain });
    }
    if (Number.isNaN(model.loss)) continue;
    const adapter = join(model.folder, "DoRA-adapter");
    const file = join(model.folder, "adapted.gguf");
    await writeGguf({ model: model.model, adapter, target: file, type: "f32" });
    const loss = await lossWith(model, adapter);
    files.push({ model, type: "f32", adapted: true, file, loss });
  }
  const gguf = files.map(({ file, model, type }) => {
    const values = `${file}.values`;
    writeFileSync(values, tensorValues(file));
    return { name: `${model.name}: gguf reads ${type}`, file, values };
  });
  return { plan: { gguf, blocks: [blocksCase(work)] }, files, checks };
}

async function lossWith(model: Tuned, adapter: string | undefined): Promise<number> {
  const folder = await ModelFolder.open(model.model);
  const logits = await logitsOf(await withAdapter(folder, adapter), model.windows);
  await folder.close();
  return lossOf(logits, model.windows);
}

/** A byte-level model as our own runs export it. */
async function bytesModel(work: string): Promise<Tuned> {
  const folder = join(work, "Bytes");
  const size = { hiddenSize: 64, intermediateSize: 176, numHiddenLayers: 2 };
  const heads = { numAttentionHeads: 4, numKeyValueHeads: 2, ropeTheta: 10_000, rmsNormEps: 1e-5 };
  const config = { vocabSize: 256, maxPositionEmbeddings: 64, ...size, ...heads } as const;
  const tied = { ...config, tieWordEmbeddings: true };
  const weights = initialWeights(tied, 1).map((x) => 4 * x);
  const card = {
    ...{ name: "bytes", runId: "00".repeat(32), license: null, dataset: [], validationBps: 1 },
    ...{ recipe: {}, tokens: 1, rounds: 1, valLoss: null, contributors: 1 },
  };
  const model = join(folder, "model");
  await writeExportFolder(model, exportFiles({ config: tied, weights, card }));
  const hostile = JSON.parse(readFileSync(join(work, "hostile.json"), "utf8")) as string[];
  const texts = hostile.map((text) => [...Buffer.from(text)]);
  const windows = [[...Buffer.from("To be, or not to be: that is the question.")]];
  const whole = [...Buffer.from("Hello, world")];
  return { name: "Bytes", folder, model, windows, loss: Number.NaN, texts, whole };
}

/** Numbers of all sizes, with our blocks of them. */
function blocksCase(work: string): object {
  const random = new Random(11, 0);
  const values = Float32Array.from({ length: 32 * 4_000 }, (_, i) => {
    const scale = 10 ** ((Math.floor(i / 32) % 12) - 8);
    return scale * (2 * random.unit() - 1);
  });
  values.fill(0, 0, 32);
  values.fill(-1, 32, 64);
  const path = join(work, "blocks.f32");
  writeFileSync(path, new Uint8Array(values.buffer));
  for (const type of ["F16", "Q8_0", "Q4_0"] as const) {
    writeFileSync(`${path}.${type}`, encodeBlocks(type, values));
  }
  return { name: "blocks are gguf's, bit for bit", values: path };
}

/** What the file's tensors mean by our own decoder, one after the other. */
function tensorValues(file: string): Uint8Array {
  const parts = readGguf(readFileSync(file)).tensors.map(({ type, bytes }) => {
    return new Uint8Array(decodeBlocks(type, bytes).buffer);
  });
  return Buffer.concat(parts);
}
