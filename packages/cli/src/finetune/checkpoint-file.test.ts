// A checkpoint is what was written, or refused; a full disk leaves the one before.
import assert from "node:assert/strict";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import {
  type Checkpoint,
  CheckpointError,
  readCheckpoint,
  writeCheckpoint,
} from "./checkpoint-file.ts";

const folder = mkdtempSync(join(tmpdir(), "manyhands-checkpoint-"));
after(() => rmSync(folder, { recursive: true }));

function checkpoint(step: number): Checkpoint {
  const floats = (seed: number): Float32Array => Float32Array.of(seed, 0.1, Number.NaN, -0, step);
  const state = { step, weights: floats(1), moment1: floats(2), moment2: floats(3) };
  const train = [{ step: 1, tokens: 64, loss: 5.123456789 }];
  const history = { train, validation: [], trainingMs: 12, tokens: 64 };
  return { recipeHash: "ab".repeat(32), state, history };
}

test("what is written is read, bit for bit", async () => {
  const path = join(folder, "a.bin");
  assert.equal(await readCheckpoint(path), undefined);
  await writeCheckpoint(path, checkpoint(7));
  await writeCheckpoint(path, checkpoint(8));
  assert.deepEqual(await readCheckpoint(path), checkpoint(8));
  assert.deepEqual(readdirSync(folder), ["a.bin"]);
});

test("a file that was changed or cut anywhere is refused with a sentence", async () => {
  const path = join(folder, "b.bin");
  await writeCheckpoint(path, checkpoint(7));
  const bytes = readFileSync(path);
  const refused = async (damaged: Uint8Array, what: string): Promise<void> => {
    writeFileSync(path, damaged);
    await assert.rejects(
      readCheckpoint(path),
      (error) => error instanceof InputError && /no sound checkpoint: /.test(error.message),
      what,
    );
  };
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Uint8Array.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ 4;
    await refused(damaged, `byte ${at}`);
  }
  for (const size of [0, 5, 12, 40, bytes.length - 1]) {
    await refused(bytes.subarray(0, size), `${size} bytes`);
  }
  await refused(Buffer.concat([bytes, bytes]), "twice");
});

test("a full disk is an error with a hint, and the checkpoint before is whole", async (context) => {
  const path = join(folder, "c.bin");
  await writeCheckpoint(path, checkpoint(7));
  if (!existsSync("/dev/full")) {
    context.skip("this system has no /dev/full"); // Linux and FreeBSD have it
    return;
  }
  symlinkSync("/dev/full", `${path}.new`);
  await assert.rejects(
    writeCheckpoint(path, checkpoint(8)),
    (error) => error instanceof CheckpointError && /make room/.test(error.hint ?? ""),
  );
  assert.deepEqual(await readCheckpoint(path), checkpoint(7));
  await writeCheckpoint(path, checkpoint(9));
  assert.equal((await readCheckpoint(path))?.state.step, 9);
});
