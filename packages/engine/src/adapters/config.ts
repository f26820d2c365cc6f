// Low-rank adapters by PEFT's names: what may be chosen, which matrices get one, and where its
// tensors lie in one flat array. It deliberately imports no runtime: every peer needs it.
// @source Hu et al. 2021, "LoRA"; Kalajdzievski 2023, rsLoRA; Liu et al. 2024, "DoRA"
import { InputError } from "@manyhands/base/errors";
import {
  architectureOf,
  isBlockMatrix,
  isInputMajor,
  type ModelConfig,
  type ParameterPlace,
  type ParameterSpec,
  parameterSpecs,
} from "../model/config.ts";

/** PEFT's LoraConfig, in camelCase. */
export type AdapterConfig = {
  readonly r: number;
  readonly loraAlpha: number;
  /** The share of an adapter's inputs that a step leaves out. Default 0. */
  readonly loraDropout?: number;
  /** Ends of modules' names: "q_proj", "layers.0.mlp.up_proj"; or every matrix of the blocks. */
  readonly targetModules: "all-linear" | readonly string[];
  /** The scale is alpha/√r instead of alpha/r. */
  readonly useRslora?: boolean;
  /** The product's columns get learned magnitudes of their own. */
  readonly useDora?: boolean;
};

/** A matrix of a block: what an adapter can be added to. */
export type LinearPlace = {
  /** Hugging Face's name, "model.layers.0.self_attn.q_proj". */
  readonly name: string;
  readonly inSize: number;
  readonly outSize: number;
  /** Whether the matrix is stored as [in, out]. */
  readonly inputMajor: boolean;
};

const RANK_MAX = 4096;

/** What low-rank products are multiplied by. */
export function adapterScale({ r, loraAlpha, useRslora }: AdapterConfig): number {
  return useRslora ? loraAlpha / Math.sqrt(r) : loraAlpha / r;
}

/** Every matrix of the blocks, in the order of parameterSpecs. */
function linearModules(model: ModelConfig): readonly LinearPlace[] {
  return parameterSpecs(model)
    .filter(isBlockMatrix)
    .map((spec) => {
      const [rows = 1, columns = 1] = spec.shape;
      const inputMajor = isInputMajor(spec);
      return {
        name: spec.name.replace(/\.weight$/, ""),
        inSize: inputMajor ? rows : columns,
        outSize: inputMajor ? columns : rows,
        inputMajor,
      };
    });
}

/** The matrices that get an adapter. @throws InputError if the config is not one for this model */
export function targetedModules(
  model: ModelConfig,
  adapter: AdapterConfig,
): readonly LinearPlace[] {
  checkAdapterConfig(model, adapter);
  return linearModules(model).filter(({ name }) => isTargeted(adapter, name));
}

/** Whether a module, by its full name, gets an adapter: as PEFT matches. */
export function isTargeted({ targetModules }: AdapterConfig, name: string): boolean {
  if (targetModules === "all-linear") return true;
  return targetModules.some((target) => name === target || name.endsWith(`.${target}`));
}

/** The targets that a model has: module names within a block. */
export function moduleTargets(model: ModelConfig): readonly string[] {
  const names = linearModules(model).map(({ name }) => withinBlock(name));
  return [...new Set(names)];
}

/** A module's name without its block's: "self_attn.q_proj". */
function withinBlock(name: string): string {
  return name.replace(/^(model\.layers|transformer\.h)\.\d+\./, "");
}

/** @throws InputError names the field, and for a target those that there are */
export function checkAdapterConfig(model: ModelConfig, adapter: AdapterConfig): void {
  const { r, loraAlpha, loraDropout = 0, targetModules, useDora } = adapter;
  if (!Number.isInteger(r) || r < 1 || r > RANK_MAX) {
    throw new InputError(`r must be an integer from 1 to ${RANK_MAX}, found ${r}`);
  }
  if (!(loraAlpha > 0 && Number.isFinite(loraAlpha))) {
    throw new InputError(`loraAlpha must be a number > 0, found ${loraAlpha}`);
  }
  if (!(loraDropout >= 0 && loraDropout < 1)) {
    throw new InputError(`loraDropout must be ≥ 0 and < 1, found ${loraDropout}`);
  }
  if (useDora && architectureOf(model) === "bitnet") {
    throw new InputError("useDora does not go with BitNet, whose products are of rounded inputs", {
      hint: "leave useDora out",
    });
  }
  if (targetModules === "all-linear") return;
  const known = moduleTargets(model);
  const names = linearModules(model).map(({ name }) => name);
  const hint = `this model has ${known.join(", ")}; "all-linear" means all of them`;
  if (targetModules.length === 0) throw new InputError("targetModules is empty", { hint });
  const isKnown = (target: string): boolean =>
    names.some((name) => isTargeted({ ...adapter, targetModules: [target] }, name));
  const unknown = targetModules.find((target) => !isKnown(target));
  if (unknown !== undefined) {
    throw new InputError(`targetModules: no block has a matrix ${unknown}`, { hint });
  }
}

const PREFIX = "base_model.model.";

/** The tensors of one adapted matrix: A [r, in], B [out, r] and DoRA's magnitudes [out]. */
export type AdapterPart = "lora_A.weight" | "lora_B.weight" | "lora_magnitude_vector";

export function adapterTensorName(module: string, part: AdapterPart): string {
  return `${PREFIX}${module}.${part}`;
}

/** Every tensor of the adapters by PEFT's names, in the order of the flat array. */
export function adapterSpecs(model: ModelConfig, adapter: AdapterConfig): readonly ParameterSpec[] {
  return targetedModules(model, adapter).flatMap(({ name, inSize, outSize }) => {
    const spec = (part: AdapterPart, ...shape: number[]): ParameterSpec => {
      return { name: adapterTensorName(name, part), shape };
    };
    return [
      spec("lora_A.weight", adapter.r, inSize),
      spec("lora_B.weight", outSize, adapter.r),
      ...(adapter.useDora ? [spec("lora_magnitude_vector", outSize)] : []),
    ];
  });
}

/** The adapters' tensors with their places in the flat array. */
export function adapterPlaces(
  model: ModelConfig,
  adapter: AdapterConfig,
): readonly ParameterPlace[] {
  let offset = 0;
  return adapterSpecs(model, adapter).map((spec) => {
    const size = spec.shape.reduce((product, dim) => product * dim, 1);
    const place = { ...spec, offset, size };
    offset += size;
    return place;
  });
}

/** The number of weights that train. */
export function adapterCount(model: ModelConfig, adapter: AdapterConfig): number {
  return adapterPlaces(model, adapter).reduce((sum, { size }) => sum + size, 0);
}
