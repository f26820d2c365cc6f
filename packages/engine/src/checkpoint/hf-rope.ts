// How a config.json tells the rotary positions: transformers 4 and 5 write them differently, and
// Gemma has two kinds. It reads only kinds that this engine can compute.
import {
  type Decoded,
  fallback,
  nullable,
  object,
  oneOf,
  problemText,
  real,
} from "@manyhands/base/decode";
import { err, ok, type Result } from "@manyhands/base/result";
import type { Architecture, LlamaConfig, RopeScaling } from "../model/config.ts";

type Json = { readonly [key: string]: unknown };
type RopeFields = Pick<LlamaConfig, "ropeTheta" | "ropeScaling" | "ropeLocalBaseFreq">;

const THETA_MAX = 1e12;
const FACTOR_MAX = 1e6;
const factor = fallback(nullable(real(0, FACTOR_MAX)), null);
const rule = object({
  rope_type: fallback(oneOf("default", "linear", "llama3"), "default"),
  /** What transformers called rope_type before. */
  type: fallback(nullable(oneOf("default", "linear", "llama3")), null),
  rope_theta: fallback(nullable(real(0, THETA_MAX)), null),
  factor,
  low_freq_factor: factor,
  high_freq_factor: factor,
  original_max_position_embeddings: fallback(nullable(real(1, 2 ** 40)), null),
  partial_rotary_factor: fallback(nullable(oneOf(1)), null),
});
type Rule = Decoded<typeof rule>;

const THETAS: Readonly<Partial<Record<Architecture, number>>> = {
  bitnet: 500_000,
  gemma3_text: 1_000_000,
};
const THETA = 10_000;

/** θ and scaling, as rope_parameters or as rope_theta and rope_scaling say them. */
export function readRope(value: Json, type: Architecture): Result<RopeFields, string> {
  const parameters = value["rope_parameters"] ?? {};
  const kinds = nested(parameters);
  const main = read(kinds?.["full_attention"] ?? (kinds ? {} : parameters), "rope_parameters");
  if (!main.ok) return main;
  const older = read(value["rope_scaling"] ?? {}, "rope_scaling");
  if (!older.ok) return older;
  const plain = read({ rope_theta: value["rope_theta"] ?? null }, "");
  if (!plain.ok) return plain;
  const ropeTheta = main.value.rope_theta ?? plain.value.rope_theta ?? THETAS[type] ?? THETA;
  const scaling = scalingOf(value["rope_scaling"] ? older.value : main.value);
  if (!scaling.ok) return scaling;
  const scaled = scaling.value ? { ropeTheta, ropeScaling: scaling.value } : { ropeTheta };
  if (type !== "gemma3_text") return ok(scaled);
  const local = read(
    {
      rope_theta: value["rope_local_base_freq"] ?? null,
      ...objectOf(kinds?.["sliding_attention"]),
    },
    "rope_parameters.sliding_attention",
  );
  if (!local.ok) return local;
  if (typeOf(local.value) !== "default") {
    return err(
      "config.json: rope_parameters.sliding_attention: sliding layers have no scaling here",
    );
  }
  return ok({ ...scaled, ropeLocalBaseFreq: local.value.rope_theta ?? THETA });
}

/** One rule per layer type, if that is how the parameters are written. */
function nested(parameters: unknown): Json | undefined {
  const fields = objectOf(parameters);
  return "full_attention" in fields || "sliding_attention" in fields ? fields : undefined;
}

function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function read(value: unknown, place: string): Result<Rule, string> {
  const decoded = rule(value, place === "" ? [] : [place]);
  return decoded.ok ? decoded : err(`config.json: ${problemText(decoded.error)}`);
}

function typeOf(fields: Rule): Rule["rope_type"] {
  return fields.type ?? fields.rope_type;
}

function scalingOf(fields: Rule): Result<RopeScaling | undefined, string> {
  const type = typeOf(fields);
  if (type === "default") return ok(undefined);
  const missing = (name: string): Result<never, string> =>
    err(`config.json: RoPE of type ${type} needs a ${name}`);
  if (fields.factor === null) return missing("factor");
  if (type === "linear") return ok({ ropeType: "linear", factor: fields.factor });
  const { low_freq_factor: low, high_freq_factor: high } = fields;
  const original = fields.original_max_position_embeddings;
  if (low === null) return missing("low_freq_factor");
  if (high === null) return missing("high_freq_factor");
  if (original === null) return missing("original_max_position_embeddings");
  return ok({
    ropeType: "llama3",
    factor: fields.factor,
    lowFreqFactor: low,
    highFreqFactor: high,
    originalMaxPositionEmbeddings: original,
  });
}
