// Where a conversion's weights come from: a model, with or without an adapter merged in.
// It deliberately holds one tensor at a time.
import { defined } from "@manyhands/base/assert";
import { InputError } from "@manyhands/base/errors";
import {
  adapterPlaces,
  adapterScale,
  adapterTensorName,
  type LinearPlace,
  targetedModules,
} from "../adapters/config.ts";
import { mergeAdapter } from "../adapters/merge.ts";
import type { ModelConfig } from "../model/config.ts";
import { readAdapterFolder, type SavedAdapter } from "../peft/adapter-folder.ts";
import type { WeightSource } from "../quantize/base-model.ts";

/** An adapter's folder, or an adapter that is there already. */
export type AdapterChoice = string | SavedAdapter;

/**
 * The model's weights, with the adapter added where it adapts.
 *
 * @throws ModelFileError if the adapter's folder is broken or fits another model
 * @throws InputError if the model's matrices are ternary: a sum would not be
 */
export async function withAdapter(
  source: WeightSource,
  choice: AdapterChoice | undefined,
): Promise<WeightSource> {
  if (choice === undefined) return source;
  const { config } = source;
  if (!("modelType" in config) || config.modelType !== "bitnet") {
    const saved = typeof choice === "string" ? await readAdapterFolder(choice, config) : choice;
    return mergedSource(source, config, saved);
  }
  throw new InputError("an adapter cannot be merged into BitNet's ternary matrices", {
    hint: "rounding would lose it: load model and adapter side by side, with peft or manyhands",
  });
}

function mergedSource(
  source: WeightSource,
  config: ModelConfig,
  { adapter, weights }: SavedAdapter,
): WeightSource {
  const adapted = new Map<string, LinearPlace>(
    targetedModules(config, adapter).map((place) => [`${place.name}.weight`, place]),
  );
  const places = new Map(adapterPlaces(config, adapter).map((place) => [place.name, place]));
  const part = (name: string): Float32Array => {
    const { offset, size } = defined(places.get(name), `${name} is part of the adapter`);
    return weights.subarray(offset, offset + size);
  };
  return {
    config,
    async readParameter(spec, into) {
      await source.readParameter(spec, into);
      const place = adapted.get(spec.name);
      if (!place) return;
      mergeAdapter(into, place, {
        a: part(adapterTensorName(place.name, "lora_A.weight")),
        b: part(adapterTensorName(place.name, "lora_B.weight")),
        magnitude: adapter.useDora
          ? part(adapterTensorName(place.name, "lora_magnitude_vector"))
          : undefined,
        scale: adapterScale(adapter),
      });
    },
  };
}
