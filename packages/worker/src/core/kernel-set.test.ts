// The run id names the referee's file: protocol cannot import the engine, so the tie is held here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { REFEREE_WASM_SHA256 } from "@manyhands/engine/runtime/referee";
import { KERNEL_SET } from "@manyhands/protocol/version";

test("the kernel set pins the WASM file that the referee runs", () => {
  assert.equal(KERNEL_SET, `onnx-1+wasm-${REFEREE_WASM_SHA256.slice(0, 32)}`);
});
