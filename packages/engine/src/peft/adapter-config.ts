// PEFT's adapter_config.json, both ways. What PEFT can do and this engine cannot is refused by its
// name: an adapter that is half understood computes something else.
// @source PEFT's LoraConfig (huggingface/peft, src/peft/tuners/lora/config.py)
import {
  type Decoded,
  describe,
  fallback,
  flag,
  integer,
  list,
  nullable,
  object,
  oneOf,
  problemText,
  real,
  text,
} from "@manyhands/base/decode";
import { InputError } from "@manyhands/base/errors";
import { err, ok, type Result } from "@manyhands/base/result";
import { type AdapterConfig, checkAdapterConfig, moduleTargets } from "../adapters/config.ts";
import { isGpt2, type ModelConfig } from "../model/config.ts";

export type SavedAdapterConfig = {
  readonly adapter: AdapterConfig;
  /** What it was trained on: "org/name", or a folder. */
  readonly baseModel: string | null;
  /** The base's commit or branch. */
  readonly revision: string | null;
};

const NAME_CHARS_MAX = 4_096;
const TARGETS_MAX = 100_000;

const decoder = object({
  peft_type: oneOf("LORA"),
  task_type: fallback(nullable(oneOf("CAUSAL_LM")), null),
  base_model_name_or_path: fallback(nullable(text(NAME_CHARS_MAX)), null),
  revision: fallback(nullable(text(NAME_CHARS_MAX)), null),
  r: integer(1, 1 << 20),
  lora_alpha: real(0, 1e9),
  lora_dropout: fallback(real(0, 1), 0),
  target_modules: list(text(NAME_CHARS_MAX), { min: 1, max: TARGETS_MAX }),
  bias: fallback(oneOf("none"), "none"),
  use_rslora: fallback(flag, false),
  use_dora: fallback(flag, false),
  fan_in_fan_out: fallback(flag, false),
});
type Fields = Decoded<typeof decoder>;

/** How training began or where it ran: of no consequence to what the finished adapter computes. */
const IGNORED = new Set([
  ...["auto_mapping", "inference_mode", "init_lora_weights", "peft_version", "runtime_config"],
  ...["megatron_core", "qalora_group_size", "arrow_config", "corda_config", "eva_config"],
  ...["lora_ga_config", "ensure_weight_tying"],
]);

const KNOWN = new Set([
  ...["peft_type", "task_type", "base_model_name_or_path", "revision", "r", "lora_alpha"],
  ...["lora_dropout", "target_modules", "bias", "use_rslora", "use_dora", "fan_in_fan_out"],
]);

/** The adapter that this text describes, if it fits the model, or why it cannot be used. */
export function parseAdapterConfig(
  source: string,
  model: ModelConfig,
): Result<SavedAdapterConfig, string> {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    return err("it is no JSON");
  }
  const unknown = unknownField(value);
  if (unknown !== undefined) {
    return err(`${unknown[0]} is ${describe(unknown[1])}, which this engine does not compute`);
  }
  const decoded = decoder(knownFields(value));
  if (!decoded.ok) return err(problemText(decoded.error));
  return fitted(decoded.value, model);
}

function fitted(fields: Fields, model: ModelConfig): Result<SavedAdapterConfig, string> {
  const adapter: AdapterConfig = {
    r: fields.r,
    loraAlpha: fields.lora_alpha,
    ...(fields.lora_dropout > 0 ? { loraDropout: fields.lora_dropout } : {}),
    targetModules: fields.target_modules,
    ...(fields.use_rslora ? { useRslora: true } : {}),
    ...(fields.use_dora ? { useDora: true } : {}),
  };
  try {
    checkAdapterConfig(model, adapter);
  } catch (caught) {
    if (caught instanceof InputError) return err(caught.message);
    throw caught;
  }
  return ok({ adapter, baseModel: fields.base_model_name_or_path, revision: fields.revision });
}

/** A field that decides something here unknown: neither absent nor empty nor off. */
function unknownField(value: unknown): readonly [string, unknown] | undefined {
  if (!isFields(value)) return undefined;
  return Object.entries(value).find(
    ([name, each]) => !KNOWN.has(name) && !IGNORED.has(name) && !isOff(each),
  );
}

function isOff(value: unknown): boolean {
  if (value === null || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function knownFields(value: unknown): unknown {
  if (!isFields(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([name]) => KNOWN.has(name)));
}

function isFields(value: unknown): value is { readonly [name: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The file's text, as PEFT reads it. */
export function adapterConfigJson(saved: SavedAdapterConfig, model: ModelConfig): string {
  const { adapter, baseModel, revision } = saved;
  const { targetModules } = adapter;
  const fields = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseModel,
    revision,
    r: adapter.r,
    lora_alpha: adapter.loraAlpha,
    lora_dropout: adapter.loraDropout ?? 0,
    // PEFT's own "all-linear" asks the model; a list says the same whatever loads it.
    target_modules: targetModules === "all-linear" ? moduleTargets(model) : targetModules,
    bias: "none",
    use_rslora: adapter.useRslora ?? false,
    use_dora: adapter.useDora ?? false,
    // GPT-2's matrices are [in, out].
    fan_in_fan_out: isGpt2(model),
    inference_mode: true,
    init_lora_weights: true,
    modules_to_save: null,
    layers_to_transform: null,
    layers_pattern: null,
    rank_pattern: {},
    alpha_pattern: {},
  };
  return `${JSON.stringify(fields, null, 2)}\n`;
}
