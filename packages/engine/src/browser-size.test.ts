// A page that trains must stay light: the engine's part of it, beside the runtime's own files.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const GZIPPED_BYTES_MAX = 60 * 1024;

/** Everything that a page needs to train, evaluate, generate, and to choose its backend. */
const ENTRY = `
  export { browserProbe } from "./probe/browser.ts";
  export { probe } from "./probe/probe.ts";
  export { createDeviceTrainer } from "./train/device-trainer.ts";
  export { createEvaluator } from "./train/evaluate.ts";
  export { createGenerator } from "./generate/generator.ts";
  export { createReferee } from "./runtime/referee.ts";
  export { createTrainer } from "./train/trainer.ts";
  export { initialWeights } from "./model/initial-weights.ts";
  export { ortWebWasm } from "./runtime/ort-web-wasm.ts";
  export { ortWebWebGpu } from "./runtime/ort-web-webgpu.ts";
  export { withHostState } from "./runtime/host-state.ts";
`;

test("the browser's entry is at most 60 KB, gzipped, and needs nothing of Node", async () => {
  const result = await build({
    stdin: { contents: ENTRY, resolveDir: fileURLToPath(new URL(".", import.meta.url)) },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2024",
    platform: "browser",
    external: ["onnxruntime-web/*"],
    write: false,
    metafile: true,
  });
  const [bundle] = result.outputFiles;
  assert(bundle, "there is one file");
  const bytes = gzipSync(bundle.contents, { level: 9 }).length;
  assert(bytes <= GZIPPED_BYTES_MAX, `${bytes} bytes`);
  const imports = Object.values(result.metafile.outputs).flatMap((output) => output.imports);
  const external = imports.flatMap(({ path, external: outside }) => (outside ? [path] : []));
  const expected = ["onnxruntime-web/wasm", "onnxruntime-web/webgpu"];
  assert.deepEqual(new Set(external), new Set(expected));
});
