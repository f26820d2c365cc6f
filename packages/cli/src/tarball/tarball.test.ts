import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { unpackTar } from "modern-tar";
import { buildTarball } from "./build-tarball.ts";

test("the tarball has the launcher, the program as one file, and no dependencies", async () => {
  const bytes = await buildTarball();
  const entries = await unpackTar(gunzipSync(bytes));
  const text = (name: string): string => {
    const entry = entries.find(({ header }) => header.name === `package/${name}`);
    assert.ok(entry?.data, name);
    return Buffer.from(entry.data).toString("utf8");
  };
  const names = ["bin/manyhands.mjs", "bin/runtime.mjs", "dist/main.mjs", "dist/runtime.json"];
  assert.deepEqual(
    entries.map(({ header }) => header.name),
    [...names, "package.json"].map((name) => `package/${name}`),
  );
  const manifest = JSON.parse(text("package.json"));
  assert.equal(manifest.dependencies, undefined);
  assert.equal(manifest.bin.manyhands, "./bin/manyhands.mjs");
  const versions = JSON.parse(text("dist/runtime.json"));
  assert.match(versions.node, /^24\./);
  assert.match(versions["onnxruntime-node"], /^\d+\.\d+\.\d+$/);
  assert.match(text("dist/main.mjs"), /from\s*"onnxruntime-node"|import\("onnxruntime-node"\)/);
  assert.ok(bytes.length < 2_000_000, `${bytes.length} bytes`);
});
