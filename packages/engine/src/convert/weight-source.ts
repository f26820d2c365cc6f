// Where a conversion's weights come from: a model folder, with or without an adapter merged in.
// Node only. It deliberately holds one tensor at a time.
import type { ModelConfig, ParameterSpec } from "../model/config.ts";

export type WeightSource = {
  readonly config: ModelConfig;
  /** One parameter's values, row-major. */
  readParameter(spec: ParameterSpec, into: Float32Array): Promise<void>;
};
export type AdapterChoice = string;

export async function withAdapter(
  source: WeightSource,
  _adapter: AdapterChoice | undefined,
): Promise<WeightSource> {
  return source;
}
