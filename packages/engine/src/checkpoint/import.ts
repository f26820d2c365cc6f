// An export folder's files back into a model: its shape and its flat weights.
// It reads no disk (node-folder.ts does) and loads no other architectures.
import { describe } from "@manyhands/base/decode";
import { err, ok, type Result } from "@manyhands/base/result";
import { type ModelConfig, type ParameterPlace, parameterPlaces } from "../model/config.ts";
import { parseConfigJson } from "./hf-config.ts";
import { readSafetensors, type SafetensorsCode, type TensorData } from "./safetensors.ts";

/** Weights lie in the order of parameterSpecs(config). */
export type ImportedModel = { readonly config: ModelConfig; readonly weights: Float32Array };

export type ImportCode =
  | SafetensorsCode
  | "import/config"
  | "import/missing"
  | "import/unknown"
  | "import/shape"
  | "import/not-finite";
export type ImportProblem = { readonly code: ImportCode; readonly message: string };

export type ImportFiles = {
  /** The text of config.json. */
  readonly configJson: string;
  /** The bytes of model.safetensors. */
  readonly safetensors: Uint8Array;
};

/** The model in these files; every tensor that its shape needs and no other, all values finite. */
export function importModel(files: ImportFiles): Result<ImportedModel, ImportProblem> {
  const parsed = parseConfigJson(files.configJson);
  if (!parsed.ok) return err({ code: "import/config", message: parsed.error });
  const read = readSafetensors(files.safetensors);
  if (!read.ok) return read;
  const places = parameterPlaces(parsed.value);
  const tensors = new Map(read.value.tensors.map((tensor) => [tensor.name, tensor]));
  const problem = problemOf(places, tensors);
  if (problem) return err(problem);
  const last = places.at(-1);
  const weights = new Float32Array(last ? last.offset + last.size : 0);
  for (const { name, offset } of places) {
    const tensor = tensors.get(name);
    if (tensor) weights.set(tensor.values, offset);
  }
  return ok({ config: parsed.value, weights });
}

function problemOf(
  places: readonly ParameterPlace[],
  tensors: ReadonlyMap<string, TensorData>,
): ImportProblem | undefined {
  const wanted = new Set(places.map((place) => place.name));
  const unknown = [...tensors.keys()].find((name) => !wanted.has(name));
  if (unknown !== undefined) {
    return { code: "import/unknown", message: `the model has no tensor ${describe(unknown)}` };
  }
  for (const { name, shape } of places) {
    const tensor = tensors.get(name);
    if (!tensor) return { code: "import/missing", message: `the tensor ${name} is missing` };
    if (tensor.shape.join() !== shape.join()) {
      const message = `${name}: expected (${shape.join(", ")}), found (${tensor.shape.join(", ")})`;
      return { code: "import/shape", message };
    }
    if (!tensor.values.every(Number.isFinite)) {
      return { code: "import/not-finite", message: `${name} has a value that is not finite` };
    }
  }
  return undefined;
}
