// A whole training step as one graph: loss, gradients, clipping and the optimiser, with weights and
// moments as carried state. The same arithmetic as optimizer.ts, for devices whose memory is far.
import { assert, defined } from "@manyhands/base/assert";
import { gradients } from "../autodiff/gradients.ts";
import * as ir from "../ir/ops.ts";
import { graphOf, type Tensor } from "../ir/tensor.ts";
import { decoderOf } from "../model/architectures.ts";
import {
  isBlockMatrix,
  isInputMajor,
  type ModelConfig,
  type ParameterPlace,
  parameterPlaces,
} from "../model/config.ts";
import {
  decoderLogits,
  meanLoss,
  type WeightInput,
  weightInputs,
  weightTensors,
} from "../model/decoder.ts";
import type { Carried, StatefulGraph } from "../runtime/runtime.ts";
import type { BatchShape } from "./batch-shape.ts";
import { MUON_QUINTIC, type NewtonSchulz, orthogonalized, POLAR_EXPRESS } from "./newton-schulz.ts";
import type { AdamwOptions, MuonOptions, OptimizerOptions } from "./options.ts";

/** What the host computes for every step, each a scalar input. */
export const STEP_SCALARS = [
  "adamw step size",
  "adamw root factor",
  "adamw keep",
  "muon rate",
  "muon keep",
  "muon momentum",
] as const;

type StepScalars = Readonly<Record<(typeof STEP_SCALARS)[number], Tensor>>;
type Builder = {
  readonly scalars: StepScalars;
  readonly outputs: Record<string, Tensor>;
  readonly carried: Carried[];
};

/** Whether Muon updates this weight input: all of its parameters or none. */
export function usesMuon(input: WeightInput, options: OptimizerOptions): boolean {
  return options.muon !== undefined && isBlockMatrix(input);
}

/**
 * Inputs: "ids" and "targets" [B, T], the scalars of STEP_SCALARS that are used, the state.
 * Outputs: "loss" [1, 1] or [], "norm" [], and the next state: weights by their names, "m <name>",
 * and "v <name>" of what AdamW updates.
 *
 * @param turn with muon.every n, 0 … n − 1: the matrices of which places move
 */
export function stepGraph(
  model: ModelConfig,
  batch: BatchShape,
  options: OptimizerOptions,
  turn = 0,
): StatefulGraph {
  const { every = 1 } = options.muon ?? {};
  assert(turn < every, "a turn of the cycle");
  const weights = weightTensors(model);
  const shape = [batch.sequences, batch.contextLength];
  const [ids, targets] = [ir.input("ids", shape, "i32"), ir.input("targets", shape, "i32")];
  const loss = meanLoss(decoderLogits(decoderOf(model), weights, ids), targets);
  const raw = gradients(loss, [...weights.values()]);
  const norm = ir.sqrt(raw.map(sumOfSquares).reduce((sum, part) => ir.add(sum, part)));
  const limit = ir.scalar(options.gradientNormMax);
  const clip = ir.where(ir.less(limit, norm), ir.div(limit, norm), ir.scalar(1));
  const scalars = Object.fromEntries(STEP_SCALARS.map((name) => [name, ir.input(name, [])]));
  const builder: Builder = {
    scalars: scalars as StepScalars,
    outputs: { loss: ir.reshape(loss, []), norm },
    carried: [],
  };
  const inputs = weightInputs(model);
  const slopes = new Map(inputs.map(({ name }, i) => [name, ir.mul(defined(raw[i], name), clip)]));
  const mine = (name: string): WeightParts => ({
    theta: defined(weights.get(name), name),
    slope: defined(slopes.get(name), name),
  });
  for (const input of inputs) {
    if (!usesMuon(input, options)) addAdamw(builder, input, mine(input.name), options.adamw);
  }
  const matrices = inputs.filter((input) => usesMuon(input, options));
  const moving = new Set(
    parameterPlaces(model)
      .filter(isBlockMatrix)
      .filter((_, index) => index % every === turn)
      .map(({ name }) => name),
  );
  if (options.muon) addMuon(builder, { model, matrices, moving, parts: mine }, options.muon);
  return { graph: graphOf(builder.outputs), carried: builder.carried };
}

type WeightParts = { readonly theta: Tensor; readonly slope: Tensor };

function sumOfSquares(x: Tensor): Tensor {
  const axes = x.shape.map((_, axis) => axis);
  return ir.reduceSum(ir.mul(x, x), axes);
}

function carry(builder: Builder, input: string, next: Tensor): void {
  builder.outputs[`next ${input}`] = next;
  builder.carried.push({ input, output: `next ${input}` });
}

/** As adamwUpdate. */
function addAdamw(
  builder: Builder,
  input: WeightInput,
  { theta, slope }: WeightParts,
  options: AdamwOptions,
): void {
  const { scalars } = builder;
  const { beta1, beta2 } = options;
  const blend = (old: Tensor, fresh: Tensor, beta: number): Tensor =>
    ir.add(ir.mul(old, ir.scalar(beta)), ir.mul(fresh, ir.scalar(1 - beta)));
  const m = blend(ir.input(`m ${input.name}`, input.shape), slope, beta1);
  const v = blend(ir.input(`v ${input.name}`, input.shape), ir.mul(slope, slope), beta2);
  const root = ir.mul(ir.sqrt(v), scalars["adamw root factor"]);
  const step = ir.div(ir.mul(m, scalars["adamw step size"]), ir.add(root, ir.scalar(options.eps)));
  const kept = input.shape.length > 1 ? ir.mul(theta, scalars["adamw keep"]) : theta;
  carry(builder, input.name, ir.sub(kept, step));
  carry(builder, `m ${input.name}`, m);
  carry(builder, `v ${input.name}`, v);
}

type MuonWork = {
  readonly model: ModelConfig;
  readonly matrices: readonly WeightInput[];
  /** The parameters whose turn it is; of the others only the momentum follows. */
  readonly moving: ReadonlySet<string>;
  readonly parts: (name: string) => WeightParts;
};

/** As Muon.update: matrices of one shape are orthogonalised together. */
function addMuon(builder: Builder, work: MuonWork, options: MuonOptions): void {
  const { scalars } = builder;
  const mu = scalars["muon momentum"];
  const directions = new Map<ParameterPlace, Tensor>();
  for (const input of work.matrices) {
    const { slope } = work.parts(input.name);
    const before = ir.input(`m ${input.name}`, input.shape);
    const m = ir.add(before, ir.mul(ir.sub(ir.scalar(1), mu), ir.sub(slope, before)));
    carry(builder, `m ${input.name}`, m);
    const direction = ir.add(slope, ir.mul(mu, ir.sub(m, slope)));
    const columns = input.shape[1] ?? 1;
    for (const place of placesOf(work.model, input)) {
      if (!work.moving.has(place.name)) continue;
      const first = (place.offset - input.offset) / columns;
      const rows = place.size / columns;
      directions.set(place, ir.slice(direction, 0, first, first + rows));
    }
  }
  const updates = orthogonalizedAll(directions, methodOf(options));
  for (const input of work.matrices) {
    const places = placesOf(work.model, input);
    if (!places.some((place) => updates.has(place))) continue;
    const { theta } = work.parts(input.name);
    const columns = input.shape[1] ?? 1;
    const rows = places.map((place) => {
      const first = (place.offset - input.offset) / columns;
      const own = ir.slice(theta, 0, first, first + place.size / columns);
      const change = updates.get(place);
      return change ? moved(builder, own, change) : own;
    });
    const changes = places.flatMap((place) => updates.get(place) ?? []);
    const all = changes.length === places.length;
    carry(
      builder,
      input.name,
      all ? moved(builder, theta, ir.concat(changes, 0)) : ir.concat(rows, 0),
    );
  }
}

function moved({ scalars }: Builder, theta: Tensor, change: Tensor): Tensor {
  return ir.sub(ir.mul(theta, scalars["muon keep"]), ir.mul(change, scalars["muon rate"]));
}

function methodOf(options: MuonOptions): NewtonSchulz {
  const full = options.orthogonalization === "quintic" ? MUON_QUINTIC : POLAR_EXPRESS;
  return { ...full, iterations: full.iterations.slice(0, options.iterations) };
}

const placesByModel = new WeakMap<ModelConfig, readonly ParameterPlace[]>();

function placesOf(model: ModelConfig, input: WeightInput): readonly ParameterPlace[] {
  const known = placesByModel.get(model) ?? parameterPlaces(model);
  placesByModel.set(model, known);
  const end = input.offset + input.size;
  return known.filter(({ offset }) => offset >= input.offset && offset < end);
}

/** Each direction's orthogonal factor, times √max(1, outputs/inputs). */
function orthogonalizedAll(
  directions: ReadonlyMap<ParameterPlace, Tensor>,
  method: NewtonSchulz,
): ReadonlyMap<ParameterPlace, Tensor> {
  const groups = Map.groupBy(directions, ([place]) => place.shape.join("x"));
  const updates = new Map<ParameterPlace, Tensor>();
  for (const members of groups.values()) {
    const [rows = 1, columns = 1] = members[0]?.[0].shape ?? [];
    const stacked = ir.concat(
      members.map(([, direction]) => ir.reshape(direction, [1, rows, columns])),
      0,
    );
    const inputMajor = members.every(([place]) => isInputMajor(place));
    const ratio = inputMajor ? columns / rows : rows / columns;
    const factor = ir.scalar(Math.sqrt(Math.max(1, ratio)));
    const orthogonal = ir.mul(orthogonalized(stacked, method), factor);
    members.forEach(([place], i) => {
      updates.set(place, ir.reshape(ir.slice(orthogonal, 0, i, i + 1), [rows, columns]));
    });
  }
  return updates;
}
