// The optimiser of a whole model: Muon for the blocks' matrices if chosen, AdamW for the rest.
// It deliberately sees flat arrays only: where gradients come from is the trainer's business.
import { InputError } from "@manyhands/base/errors";
import {
  isBlockMatrix,
  type ModelConfig,
  type ParameterPlace,
  parameterPlaces,
} from "../model/config.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { adamwUpdate } from "./adamw.ts";
import type { FlatMemory } from "./flat-memory.ts";
import { Muon } from "./muon.ts";
import type { OptimizerOptions } from "./options.ts";

export type OptimizerState = {
  /** Steps taken. */
  readonly step: number;
  /** One number per weight: Muon's momentum, or Adam's first moment. */
  readonly moment1: Float32Array;
  /** Adam's second moment: one number per weight that AdamW updates, in the weights' order. */
  readonly moment2: Float32Array;
};

export type StepOptions = {
  /** Multiplies every learning rate. Default 1. */
  readonly learningRateScale?: number;
  /** Muon's momentum in this step, where it follows a schedule. */
  readonly muonMomentum?: number;
};

type AdamwPlace = ParameterPlace & { readonly momentOffset: number };

/**
 * One update of all weights: gradients are scaled by min(1, gradientNormMax / ‖g‖) with the global
 * norm ‖g‖ of all of them, then Muon (muon.ts) and AdamW (adamw.ts) update their parts in place.
 */
export class Optimizer {
  readonly #options: OptimizerOptions;
  readonly #memory: FlatMemory;
  /** One per step of a cycle: each moves its matrices in its turn. */
  readonly #muons: readonly Muon[];
  readonly #adamwPlaces: readonly AdamwPlace[];
  readonly #moment1: Float32Array;
  readonly #moment2: Float32Array;
  #step = 0;

  private constructor(
    options: OptimizerOptions,
    muons: readonly Muon[],
    work: { readonly places: readonly ParameterPlace[]; readonly memory: FlatMemory },
  ) {
    const { places, memory } = work;
    this.#options = options;
    this.#memory = memory;
    this.#muons = muons;
    let momentOffset = 0;
    this.#adamwPlaces = places.flatMap((place) => {
      if (options.muon && isBlockMatrix(place)) return [];
      const mine = { ...place, momentOffset };
      momentOffset += place.size;
      return [mine];
    });
    this.#moment1 = memory.floats(places.reduce((sum, place) => sum + place.size, 0));
    this.#moment2 = memory.floats(momentOffset);
  }

  static async create(
    runtime: Runtime,
    options: OptimizerOptions,
    work: {
      readonly model: ModelConfig;
      readonly threads: number;
      readonly memory: FlatMemory;
    },
  ): Promise<Optimizer> {
    const places = parameterPlaces(work.model);
    const matrices = places.filter(isBlockMatrix);
    const { every = 1 } = options.muon ?? {};
    const muons: Muon[] = [];
    for (let phase = 0; options.muon && phase < every; phase++) {
      const own = matrices.filter((_, index) => index % every === phase);
      muons.push(await Muon.create(runtime, options.muon, { ...work, places: own }));
    }
    return new Optimizer(options, muons, { places, memory: work.memory });
  }

  /**
   * Updates the weights in place; a norm that is not finite changes nothing.
   *
   * @returns the gradients' global norm before clipping
   */
  async update(
    weights: Float32Array,
    gradients: Float32Array,
    options: StepOptions = {},
  ): Promise<number> {
    const norm = Math.sqrt(this.#memory.squares(gradients));
    if (!Number.isFinite(norm)) return norm;
    this.#step += 1;
    const gradientScale = Math.min(1, this.#options.gradientNormMax / norm);
    const learningRateScale = options.learningRateScale ?? 1;
    for (const place of this.#adamwPlaces) {
      const view = (flat: Float32Array, offset = place.offset): Float32Array =>
        flat.subarray(offset, offset + place.size);
      const part = {
        weights: view(weights),
        gradients: view(gradients),
        moment1: view(this.#moment1),
        moment2: view(this.#moment2, place.momentOffset),
      };
      const decays = place.shape.length > 1;
      const scales = { step: this.#step, gradientScale, learningRateScale, decays };
      adamwUpdate(this.#memory, part, this.#options.adamw, scales);
    }
    const buffers = { weights, gradients, momentum: this.#moment1 };
    for (const [phase, muon] of this.#muons.entries()) {
      const momentum = options.muonMomentum ?? this.#options.muon?.momentum ?? 0;
      const every = this.#muons.length;
      const moves = this.#step % every === phase ? every : 0;
      await muon.update(buffers, { gradientScale, learningRateScale, momentum, moves });
    }
    return norm;
  }

  /** A copy, for a checkpoint. */
  state(): OptimizerState {
    return { step: this.#step, moment1: this.#moment1.slice(), moment2: this.#moment2.slice() };
  }

  /** @throws InputError if the state belongs to another model or recipe */
  load(state: OptimizerState): void {
    const { moment1, moment2, step } = state;
    if (moment1.length !== this.#moment1.length || moment2.length !== this.#moment2.length) {
      throw new InputError("the optimiser state belongs to another model or recipe");
    }
    this.#step = step;
    this.#moment1.set(moment1);
    this.#moment2.set(moment2);
  }

  /** Forgets everything: as before the first step. */
  reset(): void {
    this.#step = 0;
    this.#moment1.fill(0);
    this.#moment2.fill(0);
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#muons.map((muon) => muon.dispose()));
  }
}
