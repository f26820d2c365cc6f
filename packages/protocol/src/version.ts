// What two peers must have in common before they talk. Both are part of the run id.

/** Raised by any change of messages, events or transitions. */
export const PROTOCOL_VERSION = 1;

/**
 * What inner steps are computed with: the operators and their lowering, and the referee's runtime,
 * by the first 128 bits of its WASM file's SHA-256. docs/spec/07-numerics.md
 */
export const KERNEL_SET = "onnx-1+wasm-3398c10d07d229bd91b364548e130e0e";
