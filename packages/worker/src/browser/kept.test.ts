// What a page keeps, on a shelf in memory: run files, keys that Node can read, and hostile texts.
import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, sign } from "node:crypto";
import { test } from "node:test";
import { fromHex, toHex, utf8 } from "@manyhands/base/bytes";
import fc from "fast-check";
import { chooseBackend } from "./backend.ts";
import { identityOf, makeKeyFile, readKeyFile, verifySignature } from "./identity.ts";
import { crashesOn, KeptCompute, knowCrashes } from "./kept-compute.ts";
import { KeptFiles } from "./kept-files.ts";
import { OptimizerSaver } from "./optimizer-saver.ts";
import { keepPayout, keptPayout } from "./payout.ts";
import { MemoryShelf } from "./shelf.ts";

function never(sentence: string): void {
  assert.fail(`no notice expected: ${sentence}`);
}

test("a kept file comes back as it was, each run has its own, a missing one is none", async () => {
  const shelf = new MemoryShelf();
  const [files, others] = [new KeptFiles(shelf, "a"), new KeptFiles(shelf, "b")];
  assert.equal(await files.read("residual", never), null);
  await files.write("residual", { rounds: 3 }, [Uint8Array.of(1, 2), Uint8Array.of(3)]);
  const kept = await new KeptFiles(shelf, "a").read("residual", never);
  assert.deepEqual(kept, { header: { rounds: 3 }, payload: Uint8Array.of(1, 2, 3) });
  assert.equal(await others.read("residual", never), null);
  await files.remove("residual");
  assert.equal(await files.read("residual", never), null);
});

test("receipts are added, also by the next visit", async () => {
  const shelf = new MemoryShelf();
  await new KeptFiles(shelf, "a").addReceipt({ round: 0 });
  await new KeptFiles(shelf, "a").addReceipt({ round: 1 });
  const keys = await shelf.keys("run/a/receipt/");
  const receipts = await Promise.all(keys.map((key) => shelf.get(key)));
  assert.deepEqual(receipts, [{ round: 0 }, { round: 1 }]);
});

test("a record of another form is set aside with a sentence", async () => {
  const shelf = new MemoryShelf();
  await shelf.put("run/a/weights", { form: "of the future", payload: "?" });
  const notices: string[] = [];
  const files = new KeptFiles(shelf, "a");
  assert.equal(await files.read("weights", (sentence) => notices.push(sentence)), null);
  assert.match(notices.join(), /kept weights has another form .* set aside/);
  assert.equal(await files.read("weights", never), null);
  assert.equal((await shelf.keys("run/a/weights")).join(), "run/a/weights.damaged");
});

test("a page's keys are what Node keeps: the same worker, the same signatures", () => {
  const file = makeKeyFile();
  const identity = identityOf(file);
  assert.ok(identity);
  const key = createPrivateKey(file.signing);
  const bytes = utf8("round 7");
  assert.equal(identity.sign(bytes), sign(null, bytes, key).toString("hex"));
  const der = createPublicKey(file.exchange).export({ type: "spki", format: "der" });
  assert.equal(identity.exchangeKey.bytes, toHex(der.subarray(-32)));
  assert.deepEqual(readKeyFile(JSON.stringify(file)), { ok: true, value: file });
});

test("signatures are verified, and what is none is false, not an error", () => {
  const identity = identityOf(makeKeyFile());
  assert.ok(identity);
  const bytes = utf8("hello");
  const signature = identity.sign(bytes);
  assert.equal(verifySignature(identity.signingKey, bytes, signature), true);
  assert.equal(verifySignature(identity.signingKey, utf8("other"), signature), false);
  assert.equal(verifySignature(identity.signingKey, bytes, "zz"), false);
  const small = fromHex(`01${"00".repeat(31)}`);
  const weak = { algorithm: "ed25519", bytes: toHex(small) } as const;
  assert.equal(verifySignature(weak, bytes, `${toHex(small)}${"00".repeat(32)}`), false);
});

test("no text is taken for keys that it does not hold, and none is repeated in the answer", () => {
  const { signing } = makeKeyFile();
  const swapped = { form: "manyhands device 1", signing, exchange: signing };
  const answer = readKeyFile(JSON.stringify(swapped));
  assert.deepEqual(answer, { ok: false, error: "The exchange key in it is not an X25519 key." });
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (content) => {
      const read = readKeyFile(content);
      assert.equal(read.ok, false);
      if (!read.ok && content.length > 20) assert.ok(!read.error.includes(content));
    }),
  );
});

test("the optimiser is kept after each round, within long ones by the minute, and at most so often", async () => {
  const files = new KeptFiles(new MemoryShelf(), "a");
  let now = 0;
  let step = 0;
  const state = () => ({ step, moment1: Float32Array.of(1), moment2: Float32Array.of(2) });
  const saver = new OptimizerSaver(files, state, () => now);
  const keptStep = async () => (await files.read("optimizer", never))?.header;
  step = 4;
  await saver.save();
  assert.deepEqual(await keptStep(), { step: 4, moment1Count: 1, moment2Count: 1 });
  step = 5;
  now += 59_999;
  await saver.saveNowAndThen();
  assert.equal(Reflect.get(Object(await keptStep()), "step"), 4);
  now += 1;
  await saver.saveNowAndThen();
  assert.equal(Reflect.get(Object(await keptStep()), "step"), 5);
  step = 6;
  saver.hurry();
  await saver.saveNowAndThen();
  assert.equal(Reflect.get(Object(await keptStep()), "step"), 6, "the page goes out of sight");
});

test("a state that takes a second to write is kept every 20 seconds, not after each round", async () => {
  const shelf = new MemoryShelf();
  const files = new KeptFiles(shelf, "a");
  let now = 0;
  let writes = 0;
  const slow = {
    read: files.read.bind(files),
    remove: files.remove.bind(files),
    addReceipt: files.addReceipt.bind(files),
    async write(...parts: Parameters<KeptFiles["write"]>) {
      writes += 1;
      now += 1_000;
      await files.write(...parts);
    },
  };
  const state = () => ({ step: 1, moment1: new Float32Array(1), moment2: new Float32Array(1) });
  const saver = new OptimizerSaver(slow, state, () => now);
  for (let round = 0; round < 60; round++) {
    now += 1_000;
    await saver.save();
  }
  assert.equal(writes, 3);
});

/** A compute port that a test lets take a step, or not. */
function tried(shelf: MemoryShelf, backend: "gpu" | "wasm") {
  const inner = {
    prepare: async () => undefined,
    dispose: async () => undefined,
    async train({ onStep }: { onStep: (step: unknown) => void }) {
      onStep({ innerStep: 1, loss: 1, micros: 1 });
      return {};
    },
  };
  const options = { backend, shelf, afterTraining: async () => undefined };
  const compute = new KeptCompute(inner as never, options);
  return {
    prepare: () => compute.prepare({} as never, []),
    takeStep: () => compute.train({ onStep: () => undefined } as never),
    leave: () => compute.dispose(),
  };
}

test("a first step that ends the tab leaves its mark; one that succeeds, or a person who leaves, none", async () => {
  const shelf = new MemoryShelf();
  const none = { backends: [], isNew: false };
  await tried(shelf, "gpu").prepare();
  assert.deepEqual(await crashesOn(shelf), { backends: ["gpu"], isNew: true });
  await knowCrashes(shelf);
  assert.deepEqual(await crashesOn(shelf), { backends: ["gpu"], isNew: false });
  const again = tried(shelf, "gpu");
  await again.prepare();
  await again.takeStep();
  assert.deepEqual(await crashesOn(shelf), none);
  const left = tried(shelf, "wasm");
  await left.prepare();
  await left.leave();
  assert.deepEqual(await crashesOn(shelf), none);
});

test("after a crash on the GPU the processor computes; a real GPU only for what is large enough", () => {
  const model = {
    ...{ vocabSize: 256, hiddenSize: 256, intermediateSize: 1_024, numHiddenLayers: 4 },
    ...{ numAttentionHeads: 4, numKeyValueHeads: 4, maxPositionEmbeddings: 64 },
    ...{ tieWordEmbeddings: false, rmsNormEps: 1e-5, ropeTheta: 10_000 },
  };
  const facts = { hasWasm: true, gpu: "hardware", threads: 2, memoryBytesMax: 2e9 } as const;
  const auto = { choice: "auto", crashed: [] } as const;
  assert.equal(chooseBackend(facts, { model }, auto), "gpu");
  assert.equal(chooseBackend(facts, { model }, { ...auto, crashed: ["gpu"] }), "wasm");
  assert.equal(chooseBackend({ ...facts, gpu: "software" }, { model }, auto), "wasm");
  const small = { ...model, hiddenSize: 64, intermediateSize: 128 };
  assert.equal(chooseBackend(facts, { model: small }, auto), "wasm");
  assert.equal(chooseBackend({ ...facts, hasWasm: false }, { model }, auto), null);
});

test("an account holds for every run, its wallet's signature for one run and one device", async () => {
  const shelf = new MemoryShelf();
  const place = { run: "01".repeat(32), device: "aa".repeat(32) };
  assert.equal(await keptPayout(shelf, place), null);
  const signed = { account: "11".repeat(20), delegation: "ab".repeat(65) };
  await keepPayout(shelf, place, signed);
  assert.deepEqual(await keptPayout(shelf, place), signed);
  const pasted = { account: signed.account, delegation: null };
  assert.deepEqual(await keptPayout(shelf, { ...place, run: "02".repeat(32) }), pasted);
  assert.deepEqual(await keptPayout(shelf, { ...place, device: "bb".repeat(32) }), pasted);
  const other = { account: "22".repeat(20), delegation: null };
  await keepPayout(shelf, place, other);
  assert.deepEqual(await keptPayout(shelf, place), other);
  await shelf.put("device/account", { account: "0x" });
  assert.equal(await keptPayout(shelf, place), null, "nonsense is nobody");
});
