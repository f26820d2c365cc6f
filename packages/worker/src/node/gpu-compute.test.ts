// When a Node worker takes the GPU: by what a probe found, and never for a small model.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { BackendReport } from "@manyhands/engine/probe/probe";
import { testRun } from "@manyhands/protocol/testing/fixtures";
import { gpuIsWorthIt, isFaster } from "./gpu-compute.ts";

const works = (gigaflops: number): BackendReport => ({
  status: "works",
  flopsPerSecond: 1e9 * gigaflops,
  startMs: 100,
});

test("a GPU is taken where it is clearly faster than the processor", () => {
  assert.equal(isFaster({ backends: { cpu: works(200), webgpu: works(300) } }), true);
  assert.equal(isFaster({ backends: { cpu: works(200), webgpu: works(299) } }), false);
  assert.equal(isFaster({ backends: { webgpu: works(1) } }), true, "nothing else works");
});

for (const webgpu of [
  { status: "crashed" },
  { status: "untried" },
  { status: "fails", reason: "no adapter" },
] as const) {
  test(`a GPU that is ${webgpu.status} is not taken`, () => {
    assert.equal(isFaster({ backends: { cpu: works(1), webgpu } }), false);
  });
}

test("for a small model nothing is measured", async (t) => {
  const parent = mkdtempSync(join(tmpdir(), "manyhands-gpu-"));
  t.after(() => rmSync(parent, { recursive: true, force: true }));
  const folder = join(parent, "device");
  assert.equal(await gpuIsWorthIt(testRun(), folder), false);
  assert.equal(existsSync(folder), false);
});
