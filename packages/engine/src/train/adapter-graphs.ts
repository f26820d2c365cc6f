// The graphs of a frozen model with adapters: blocks one by one, forward and back, with gradients
// of adapters only, over matrices in their stored form. It deliberately runs nothing.
import { defined } from "@manyhands/base/assert";
import { type AdapterTensors, adaptedLinear } from "../adapters/adapted-linear.ts";
import { type AdapterConfig, targetedModules } from "../adapters/config.ts";
import { hashedDropout } from "../adapters/dropout.ts";
import { gradients } from "../autodiff/gradients.ts";
import * as ir from "../ir/ops.ts";
import { type Graph, graphOf, inputName, type Tensor } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import { type ModelConfig, type ParameterSpec, parameterSpecs } from "../model/config.ts";
import type { Decoder, Lookup } from "../model/decoder.ts";
import { packedLengths } from "../quantize/formats.ts";
import { type BaseKind, blockOf, storedKind } from "../quantize/kinds.ts";
import type { BatchShape } from "./batch-shape.ts";

/** What the graphs depend on. */
export type AdapterSetup = {
  readonly model: ModelConfig;
  readonly kind: BaseKind;
  readonly adapter: AdapterConfig;
  readonly batch: BatchShape;
};

export const scalesName = (name: string): string => `scales of ${name}`;
export const squaresName = (module: string): string => `squares of ${module}`;

/** A stored tensor as graph inputs, `name` and perhaps its scales, unpacked to f32. */
export function storedTensor(name: string, shape: readonly number[], kind: BaseKind): Tensor {
  if (kind === "f32") return ir.input(name, shape);
  const [rows = 1, columns = 1] = shape;
  const block = blockOf(kind);
  if (kind === "f16") {
    const packed = ir.input(name, shape, "f16");
    return ir.dequantize({ format: kind, block, packed }, shape);
  }
  const lengths = packedLengths(kind, rows * columns);
  const inRows = kind === "q8" || kind === "q4";
  const blocks = columns / block;
  const own = inRows ? [rows, blocks, lengths.packed / (rows * blocks)] : [lengths.packed];
  const packed = ir.input(name, own, "u8");
  const scales = ir.input(scalesName(name), [lengths.scales]);
  return ir.dequantize({ format: kind, block, packed, scales }, shape);
}

/** Makes each tensor once, so that a graph has one input per name. */
export function once<T>(make: (name: string) => T): (name: string) => T {
  const known = new Map<string, T>();
  return (name) => {
    const found = known.get(name) ?? make(name);
    known.set(name, found);
    return found;
  };
}

/** The weights of a block by their names within it, and of what is not in a block by their own. */
export function weightsOf(
  { model, kind }: Pick<AdapterSetup, "model" | "kind">,
  prefix: string,
): Lookup {
  const specs = new Map(parameterSpecs(model).map((spec) => [spec.name, spec] as const));
  return once((name) => {
    const spec: ParameterSpec = defined(specs.get(`${prefix}${name}`), `there is ${prefix}${name}`);
    return storedTensor(name, spec.shape, storedKind(spec, kind));
  });
}

/** What a layer's graphs depend on besides weights: its kind, and which modules have adapters. */
export function blockKind({ model, adapter }: AdapterSetup, layer: number): string {
  const decoder = decoderOf(model);
  const prefix = decoder.blockPrefix(layer);
  const own = targetedModules(model, adapter).filter(({ name }) => name.startsWith(prefix));
  const names = own.map(({ name }) => name.slice(prefix.length));
  return `${decoder.layerKind(layer)} ${names.join()}`;
}

/** A layer of each kind. */
export function layersByKind(setup: AdapterSetup): ReadonlyMap<string, number> {
  const { layerCount } = decoderOf(setup.model);
  const layers = Array.from({ length: layerCount }, (_, layer) => layer);
  return new Map(layers.toReversed().map((layer) => [blockKind(setup, layer), layer] as const));
}

export type BlockPair = { readonly forward: Graph; readonly back: Graph };

/**
 * | graph   | inputs                                             | outputs                |
 * | ------- | -------------------------------------------------- | ---------------------- |
 * | forward | x [N, C], the block's weights and adapters         | middle, y [N, C]       |
 * | back    | x, middle, dy, the block's weights and adapters    | dx, "d <adapter>" each |
 *
 * As in block-gradients.ts, middle is what attention leaves. With dropout its integers are inputs
 * too; `trains` says whether there is any.
 */
export function adapterBlocks(setup: AdapterSetup, layer: number, trains: boolean): BlockPair {
  const { batch } = setup;
  const { decoder, weight } = adaptedDecoder(setup, layer, trains);
  const place = { layer, batch: batch.sequences, time: batch.contextLength };
  const rows = [batch.sequences * batch.contextLength, decoder.hiddenSize];
  const [x, middle, dy] = [ir.input("x", rows), ir.input("middle", rows), ir.input("dy", rows)];
  const attended = decoder.attend(weight, x, place);
  const y = decoder.feedForward(weight, attended, layer);
  const upper = slopesOf(decoder.feedForward(weight, middle, layer), { input: middle, dy });
  const between = defined(upper["dx"], "the middle has a slope");
  const lower = slopesOf(attended, { input: x, dy: between });
  return {
    forward: graphOf({ middle: attended, y }),
    back: graphOf({ ...upper, ...lower }),
  };
}

function adaptedDecoder(
  setup: AdapterSetup,
  layer: number,
  trains: boolean,
): { readonly decoder: Decoder; readonly weight: Lookup } {
  const { model, adapter, kind } = setup;
  const prefix = decoderOf(model).blockPrefix(layer);
  const share = adapter.loraDropout ?? 0;
  const linear = adaptedLinear({
    adapter,
    tensors: once(adapterTensors(setup, prefix)),
    dropout: trains && share > 0 ? hashedDropout(share) : undefined,
    isTernary: () => kind === "ternary",
  });
  return { decoder: decoderOf(model, { linear }), weight: weightsOf(setup, prefix) };
}

/** A block's adapters as inputs: by the modules' names within it, after a lead if there is one. */
export function adapterTensors(
  { model, adapter }: Pick<AdapterSetup, "model" | "adapter">,
  prefix: string,
  lead = "",
): (module: string) => AdapterTensors | undefined {
  const modules = new Map(targetedModules(model, adapter).map((one) => [one.name, one] as const));
  return (own) => {
    const module = modules.get(`${prefix}${own}`);
    if (!module) return undefined;
    const name = `${lead}${own}`;
    const { inSize, outSize } = module;
    const low = {
      a: ir.input(`${name}.lora_A.weight`, [adapter.r, inSize]),
      b: ir.input(`${name}.lora_B.weight`, [outSize, adapter.r]),
    };
    if (!adapter.useDora) return low;
    const magnitude = ir.input(`${name}.lora_magnitude_vector`, [outSize]);
    return { ...low, dora: { magnitude, squares: ir.input(squaresName(name), [outSize]) } };
  };
}

const TRAINABLE = /\.lora_(A\.weight|B\.weight|magnitude_vector)$/;

/** dx, and "d <name>" of each adapter tensor that y depends on, for the gradient dy of y. */
function slopesOf(
  y: Tensor,
  { input, dy }: { readonly input: Tensor; readonly dy: Tensor },
): Record<string, Tensor> {
  const against = ir.withGradient(ir.scalar(0), [y], () => [dy]);
  const reached = graphOf({ y }).inputs.filter((node) => TRAINABLE.test(inputName(node)));
  const slopes = gradients(against, [input, ...reached]);
  const names = ["dx", ...reached.map((node) => `d ${inputName(node)}`)];
  return Object.fromEntries(names.map((name, i) => [name, slopes[i] ?? dy]));
}

/** ids' rows of the embedding [N, C], unpacked beforehand → the first state y [N, C]. */
export function embedGraph(setup: AdapterSetup): Graph {
  const { model, batch } = setup;
  const decoder = decoderOf(model);
  const count = batch.sequences * batch.contextLength;
  const rows = ir.input("rows", [count, decoder.hiddenSize]);
  const other = weightsOf(setup, "");
  // Row i of the table is token i's: its place is its id.
  const weight: Lookup = (name) => (name === embeddingName(model) ? rows : other(name));
  const places = ir.constant(
    Int32Array.from({ length: count }, (_, i) => i),
    [batch.sequences, batch.contextLength],
  );
  return graphOf({ y: decoder.embed(weight, places) });
}

/** The name of the matrix whose rows are tokens. */
export function embeddingName(model: ModelConfig): string {
  return defined(parameterSpecs(model)[0], "a model has an embedding").name;
}
