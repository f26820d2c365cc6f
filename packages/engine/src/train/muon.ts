// Muon for the matrices of the blocks: Nesterov momentum, then an orthogonalised update.
// It deliberately leaves embedding, head and gains to AdamW.
import { assert, defined } from "@manyhands/base/assert";
import { input } from "../ir/ops.ts";
import { type Graph, graphOf, type Tensor } from "../ir/tensor.ts";
import { isInputMajor, type ParameterPlace } from "../model/config.ts";
import type { Executable, Runtime } from "../runtime/runtime.ts";
import type { FlatMemory } from "./flat-memory.ts";
import { MUON_QUINTIC, orthogonalized, POLAR_EXPRESS } from "./newton-schulz.ts";
import type { MuonOptions } from "./options.ts";

/** Matrices of one shape, orthogonalised together. */
type Group = {
  readonly name: string;
  readonly places: ParameterPlace[];
  readonly shape: readonly [count: number, rows: number, columns: number];
  /** What the update is scaled by: √max(1, outputs / inputs). */
  readonly scale: number;
  readonly directions: Float32Array;
  readonly updates: Float32Array;
};

export type MuonBuffers = {
  readonly weights: Float32Array;
  readonly gradients: Float32Array;
  readonly momentum: Float32Array;
};

export type MuonScales = {
  readonly gradientScale: number;
  readonly learningRateScale: number;
  readonly momentum: number;
  /** How many steps' worth the matrices move: with 0 only the momentum does. */
  readonly moves: number;
};

/** Directions "<shape>" [count, rows, columns] → their orthogonal factors "<shape> update". */
export function muonGraph(places: readonly ParameterPlace[], options: MuonOptions): Graph {
  const full = options.orthogonalization === "quintic" ? MUON_QUINTIC : POLAR_EXPRESS;
  const method = { ...full, iterations: full.iterations.slice(0, options.iterations) };
  const outputs: Record<string, Tensor> = {};
  for (const [name, members] of byShape(places)) {
    const shape = [members.length, ...defined(members[0], "a group has members").shape];
    outputs[`${name} update`] = orthogonalized(input(name, shape), method);
  }
  return graphOf(outputs);
}

function byShape(places: readonly ParameterPlace[]): ReadonlyMap<string, ParameterPlace[]> {
  return Map.groupBy(places, (place) => place.shape.join("x"));
}

/** Muon for some matrices of a model; equal shapes go through the graph in one batch. */
export class Muon {
  readonly #options: MuonOptions;
  readonly #memory: FlatMemory;
  readonly #groups: readonly Group[];
  readonly #executable: Executable;
  readonly #feeds: Readonly<Record<string, Float32Array>>;
  readonly #into: Readonly<Record<string, Float32Array>>;

  private constructor(
    options: MuonOptions,
    work: { readonly groups: readonly Group[]; readonly memory: FlatMemory },
    executable: Executable,
  ) {
    const { groups, memory } = work;
    this.#options = options;
    this.#memory = memory;
    this.#groups = groups;
    this.#executable = executable;
    this.#feeds = Object.fromEntries(groups.map((group) => [group.name, group.directions]));
    this.#into = Object.fromEntries(groups.map((group) => [`${group.name} update`, group.updates]));
  }

  static async create(
    runtime: Runtime,
    options: MuonOptions,
    work: {
      readonly places: readonly ParameterPlace[];
      readonly threads: number;
      readonly memory: FlatMemory;
    },
  ): Promise<Muon> {
    const groups = groupsOf(work.places, work.memory);
    const graph = muonGraph(work.places, options);
    const executable = await runtime.compile(graph, { threads: work.threads });
    return new Muon(options, { groups, memory: work.memory }, executable);
  }

  /**
   * m ← m + (1 − μ)(g − m); u = g + μ (m − g); θ ← θ (1 − lr·wd) − lr · √max(1, outputs/inputs) ·
   * orth(u).
   *
   * @source Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"
   */
  async update(buffers: MuonBuffers, scales: MuonScales): Promise<void> {
    for (const group of this.#groups) this.#mixMomentum(group, buffers, scales);
    if (scales.moves === 0) return;
    await this.#executable.run(this.#feeds, this.#into);
    const rate = this.#options.learningRate * scales.learningRateScale * scales.moves;
    const keep = 1 - rate * this.#options.weightDecay;
    for (const group of this.#groups) this.#apply(group, buffers.weights, { rate, keep });
  }

  #mixMomentum(group: Group, buffers: MuonBuffers, scales: MuonScales): void {
    let to = 0;
    for (const { offset, size } of group.places) {
      const arrays = {
        moment: buffers.momentum.subarray(offset, offset + size),
        slope: buffers.gradients.subarray(offset, offset + size),
        direction: group.directions.subarray(to, to + size),
      };
      this.#memory.momentum(arrays, scales.momentum, scales.gradientScale);
      to += size;
    }
  }

  #apply(
    group: Group,
    weights: Float32Array,
    { rate, keep }: { readonly rate: number; readonly keep: number },
  ): void {
    let from = 0;
    for (const { offset, size } of group.places) {
      const own = weights.subarray(offset, offset + size);
      const changes = group.updates.subarray(from, from + size);
      this.#memory.blend(own, changes, { keep, rate: rate * group.scale });
      from += size;
    }
  }

  dispose(): Promise<void> {
    return this.#executable.dispose();
  }
}

function groupsOf(places: readonly ParameterPlace[], memory: FlatMemory): readonly Group[] {
  return [...byShape(places)].map(([name, members]) => {
    const [rows, columns] = defined(members[0], "a group has members").shape;
    assert(rows !== undefined && columns !== undefined, "Muon takes matrices");
    const shape = [members.length, rows, columns] as const;
    const size = members.length * rows * columns;
    const [directions, updates] = [memory.floats(size), memory.floats(size)];
    const ratio = members.every(isInputMajor) ? columns / rows : rows / columns;
    const scale = Math.sqrt(Math.max(1, ratio));
    return { name, places: members, shape, scale, directions, updates };
  });
}
