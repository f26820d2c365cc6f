// The model of a run: Hugging Face's configs in camelCase, one decoder per family, and the rules
// between their fields. Not the engine's: every peer checks a run, also one that never trains.
import {
  type Decoded,
  type DecodeProblem,
  type Decoder,
  fallback,
  flag,
  integer,
  list,
  object,
  oneOf,
  real,
  tagged,
} from "@manyhands/base/decode";
import { CONTEXT_LENGTH_MAX, DIMENSION_MAX } from "./limits.ts";

/** The field may be left out, and is then not there. */
function optional<T>(inner: Decoder<T>): Decoder<T | undefined> {
  return fallback<T | undefined>(inner, undefined);
}

/** Fields that decoders leave out are optional, not undefined. */
type Tidy<T> = { readonly [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  readonly [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

const LAYERS_MAX = 256;
const positive = real(1e-9, 1e9);

const ropeScalingDecoder = tagged("ropeType", {
  linear: object({ ropeType: oneOf("linear"), factor: positive }),
  llama3: object({
    ropeType: oneOf("llama3"),
    factor: positive,
    lowFreqFactor: positive,
    highFreqFactor: positive,
    originalMaxPositionEmbeddings: integer(1, 1 << 24),
  }),
});

const layerTypesDecoder: Decoder<readonly ("full_attention" | "sliding_attention")[]> = list(
  oneOf("full_attention", "sliding_attention"),
  { min: 1, max: LAYERS_MAX },
);

/** A Hugging Face `LlamaConfig`, and what relatives of Llama's have besides. */
const llamaFields = object({
  modelType: optional(oneOf("qwen2", "qwen3", "gemma3_text", "bitnet")),
  vocabSize: integer(2, DIMENSION_MAX),
  hiddenSize: integer(2, 65_536),
  intermediateSize: integer(1, 1 << 18),
  numHiddenLayers: integer(1, LAYERS_MAX),
  numAttentionHeads: integer(1, 1_024),
  numKeyValueHeads: integer(1, 1_024),
  headDim: optional(integer(2, 4_096)),
  maxPositionEmbeddings: integer(2, CONTEXT_LENGTH_MAX),
  rmsNormEps: fallback(real(1e-12, 1e-2), 1e-5),
  ropeTheta: fallback(real(1, 1e9), 10_000),
  ropeScaling: optional(ropeScalingDecoder),
  tieWordEmbeddings: fallback(flag, false),
  attentionBias: optional(flag),
  mlpBias: optional(flag),
  slidingWindow: optional(integer(1, CONTEXT_LENGTH_MAX)),
  layerTypes: optional(layerTypesDecoder),
  ropeLocalBaseFreq: optional(real(1, 1e9)),
  queryPreAttnScalar: optional(positive),
  bitLinear: optional(oneOf("offline", "online")),
});
export type LlamaModel = Tidy<Decoded<typeof llamaFields>>;

const gpt2Fields = object({
  modelType: oneOf("gpt2"),
  vocabSize: integer(2, DIMENSION_MAX),
  nPositions: integer(2, CONTEXT_LENGTH_MAX),
  nEmbd: integer(2, 65_536),
  nLayer: integer(1, LAYERS_MAX),
  nHead: integer(1, 1_024),
  nInner: integer(1, 1 << 18),
  layerNormEpsilon: fallback(real(1e-12, 1e-2), 1e-5),
  tieWordEmbeddings: fallback(flag, true),
});
export type Gpt2Model = Decoded<typeof gpt2Fields>;

export type Model = LlamaModel | Gpt2Model;

/** Llama and its relatives, or GPT-2: what `modelType` says; without one it is a Llama. */
export const modelDecoder: Decoder<Model> = (value, path) => {
  const isGpt2 = typeof value === "object" && value !== null && Reflect.get(value, "modelType");
  // The decoder leaves out what is undefined: the types say so too.
  return (isGpt2 === "gpt2" ? gpt2Fields : (llamaFields as Decoder<LlamaModel>))(value, path);
};

function isGpt2(model: Model): model is Gpt2Model {
  return model.modelType === "gpt2";
}

/** The longest context that a model can read. */
export function contextLimitOf(model: Model): number {
  return isGpt2(model) ? model.nPositions : model.maxPositionEmbeddings;
}

/** What must hold, and what to say if it does not. */
export type Rule = readonly [boolean, DecodeProblem];

/** Rules between a model's fields. */
export function modelRules(model: Model): readonly Rule[] {
  return isGpt2(model) ? gpt2Rules(model) : llamaRules(model);
}

function gpt2Rules({ nEmbd, nHead }: Gpt2Model): readonly Rule[] {
  const expected = `a multiple of nHead = ${nHead}`;
  return [[nEmbd % nHead === 0, { path: ["model", "nEmbd"], found: String(nEmbd), expected }]];
}

function llamaRules(model: LlamaModel): readonly Rule[] {
  const { hiddenSize, numAttentionHeads: heads, numKeyValueHeads, headDim, layerTypes } = model;
  const even = headDim === undefined ? hiddenSize % (2 * heads) === 0 : headDim % 2 === 0;
  return [
    [
      even,
      {
        path: ["model", headDim === undefined ? "hiddenSize" : "headDim"],
        found: String(headDim ?? hiddenSize),
        expected:
          headDim === undefined
            ? `a multiple of 2 × numAttentionHeads = ${2 * heads}`
            : "an even number",
      },
    ],
    [
      heads % numKeyValueHeads === 0,
      {
        path: ["model", "numKeyValueHeads"],
        found: String(numKeyValueHeads),
        expected: `a divisor of numAttentionHeads = ${heads}`,
      },
    ],
    [
      layerTypes === undefined || layerTypes.length === model.numHiddenLayers,
      {
        path: ["model", "layerTypes"],
        found: `${layerTypes?.length} layers`,
        expected: `one for each of numHiddenLayers = ${model.numHiddenLayers}`,
      },
    ],
  ];
}
