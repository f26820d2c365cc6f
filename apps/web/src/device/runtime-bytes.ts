// What the runtime's files weigh on the wire, for the offer: known before anything is loaded.
declare const __RUNTIME_BYTES__: { readonly wasm: number; readonly webgpu: number };

/** Measured by the build. */
export const RUNTIME_BYTES = __RUNTIME_BYTES__;
