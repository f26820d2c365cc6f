// Which model a run was begun with, so that it does not go on with another. A fingerprint for
// mistakes, not for adversaries: large files are sampled, not read.
import { createHash } from "node:crypto";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { compareText } from "@manyhands/base/bytes";

const SAMPLES = 16;
const SAMPLE_BYTES = 1 << 16;
const NAMES =
  /^(config\.json|tokenizer\.json|chat_template\.jinja|.*\.safetensors(\.index\.json)?)$/;

/** SHA-256 over the names and sizes of a model's files and 16 samples of 64 KiB of each. */
export async function modelFingerprint(folder: string): Promise<string> {
  const hash = createHash("sha256");
  const names = (await readdir(folder)).filter((name) => NAMES.test(name)).sort(compareText);
  for (const name of names) {
    const path = join(folder, name);
    const { size } = await stat(path);
    hash.update(`${name}\n${size}\n`);
    for (const sample of await samplesOf(path, size)) hash.update(sample);
  }
  return hash.digest("hex");
}

async function samplesOf(path: string, size: number): Promise<Uint8Array[]> {
  const file = await open(path, "r");
  try {
    const last = Math.max(0, size - SAMPLE_BYTES);
    const places = Array.from({ length: SAMPLES }, (_, i) =>
      Math.floor((last * i) / (SAMPLES - 1)),
    );
    const samples: Uint8Array[] = [];
    for (const place of new Set(places)) {
      const bytes = new Uint8Array(SAMPLE_BYTES);
      const { bytesRead } = await file.read(bytes, 0, SAMPLE_BYTES, place);
      samples.push(bytes.subarray(0, bytesRead));
    }
    return samples;
  } finally {
    await file.close();
  }
}
