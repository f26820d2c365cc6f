// Muon for the matrices of the blocks: Nesterov momentum, then an orthogonalised update.
// It deliberately leaves embedding, head and gains to AdamW.
import { assert, defined } from "@manyhands/base/assert";
import { input } from "../ir/ops.ts";
import { graphOf, type Tensor } from "../ir/tensor.ts";
import { isInputMajor, type ParameterPlace } from "../model/config.ts";
import type { Executable, Runtime } from "../runtime/runtime.ts";
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
};

export class Muon {
  readonly #options: MuonOptions;
  readonly #groups: readonly Group[];
  readonly #executable: Executable;
  readonly #feeds: Readonly<Record<string, Float32Array>>;
  readonly #into: Readonly<Record<string, Float32Array>>;

  private constructor(options: MuonOptions, groups: readonly Group[], executable: Executable) {
    this.#options = options;
    this.#groups = groups;
    this.#executable = executable;
    this.#feeds = Object.fromEntries(groups.map((group) => [group.name, group.directions]));
    this.#into = Object.fromEntries(groups.map((group) => [`${group.name} update`, group.updates]));
  }

  static async create(
    runtime: Runtime,
    options: MuonOptions,
    work: { readonly places: readonly ParameterPlace[]; readonly threads: number },
  ): Promise<Muon> {
    const groups = groupsOf(work.places);
    const full = options.orthogonalization === "quintic" ? MUON_QUINTIC : POLAR_EXPRESS;
    const method = { ...full, iterations: full.iterations.slice(0, options.iterations) };
    const outputs: Record<string, Tensor> = {};
    for (const group of groups) {
      outputs[`${group.name} update`] = orthogonalized(input(group.name, group.shape), method);
    }
    const executable = await runtime.compile(graphOf(outputs), { threads: work.threads });
    return new Muon(options, groups, executable);
  }

  /**
   * m ← m + (1 − μ)(g − m); u = g + μ (m − g); θ ← θ (1 − lr·wd) − lr · √max(1, outputs/inputs) ·
   * orth(u).
   *
   * @source Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"
   */
  async update(buffers: MuonBuffers, scales: MuonScales): Promise<void> {
    for (const group of this.#groups) mixMomentum(group, buffers, scales);
    await this.#executable.run(this.#feeds, this.#into);
    const rate = this.#options.learningRate * scales.learningRateScale;
    const keep = 1 - rate * this.#options.weightDecay;
    for (const group of this.#groups) apply(group, buffers.weights, { rate, keep });
  }

  dispose(): Promise<void> {
    return this.#executable.dispose();
  }
}

function groupsOf(places: readonly ParameterPlace[]): readonly Group[] {
  const byShape = Map.groupBy(places, (place) => place.shape.join("x"));
  return [...byShape].map(([name, members]) => {
    const [rows, columns] = defined(members[0], "a group has members").shape;
    assert(rows !== undefined && columns !== undefined, "Muon takes matrices");
    const shape = [members.length, rows, columns] as const;
    const size = members.length * rows * columns;
    const [directions, updates] = [new Float32Array(size), new Float32Array(size)];
    const ratio = members.every(isInputMajor) ? columns / rows : rows / columns;
    const scale = Math.sqrt(Math.max(1, ratio));
    return { name, places: members, shape, scale, directions, updates };
  });
}

function mixMomentum(group: Group, buffers: MuonBuffers, scales: MuonScales): void {
  const { gradients, momentum } = buffers;
  const { directions } = group;
  const { gradientScale, momentum: mu } = scales;
  let to = 0;
  for (const { offset, size } of group.places) {
    const slopes = gradients.subarray(offset, offset + size);
    const moments = momentum.subarray(offset, offset + size);
    const out = directions.subarray(to, to + size);
    for (let i = 0; i < size; i++) {
      const g = (slopes[i] as number) * gradientScale;
      const before = moments[i] as number;
      const m = before + (1 - mu) * (g - before);
      moments[i] = m;
      out[i] = g + mu * (m - g);
    }
    to += size;
  }
}

function apply(
  group: Group,
  weights: Float32Array,
  { rate, keep }: { readonly rate: number; readonly keep: number },
): void {
  const scaled = rate * group.scale;
  const { updates } = group;
  let from = 0;
  for (const { offset, size } of group.places) {
    const own = weights.subarray(offset, offset + size);
    const changes = updates.subarray(from, from + size);
    for (let i = 0; i < size; i++) {
      own[i] = (own[i] as number) * keep - scaled * (changes[i] as number);
    }
    from += size;
  }
}
