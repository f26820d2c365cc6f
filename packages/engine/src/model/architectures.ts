// From a config to its decoder: the one place that knows every architecture.
// It deliberately builds nothing itself.
import { isGpt2, type ModelConfig } from "./config.ts";
import type { Decoder, DecoderOptions } from "./decoder.ts";
import { gpt2Decoder } from "./gpt2.ts";
import { llamaDecoder } from "./llama.ts";

/** The decoder of a config: for whole windows without a cache, unless the options say otherwise. */
export function decoderOf(config: ModelConfig, options: DecoderOptions = {}): Decoder {
  return isGpt2(config) ? gpt2Decoder(config, options) : llamaDecoder(config, options);
}
