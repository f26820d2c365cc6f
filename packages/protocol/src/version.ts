// What two peers must have in common before they talk. Both are part of the run id.

/** Raised by any change of messages, events or transitions. */
export const PROTOCOL_VERSION = 1;

/** The set of graph operators and their lowering that inner steps are computed with. */
export const KERNEL_SET = "onnx-1";
