// The arrays behind the reducer: the run's weights as followed here, the residual, and the update
// on its way. Deterministic arithmetic of the package aggregation; no I/O, no decisions.

import { applyAggregateInto } from "@manyhands/aggregation/close-round";
import type { CodecReject } from "@manyhands/aggregation/codec/reject";
import { decodeUpdateInto } from "@manyhands/aggregation/codec/update";
import { compress } from "@manyhands/aggregation/error-feedback";
import { allFragments, elementCount } from "@manyhands/aggregation/fragments";
import { f32Bytes, feedbackRoot, weightsRoot } from "@manyhands/aggregation/roots";
import { screenUpdate, type UpdateReject } from "@manyhands/aggregation/screen";
import { defined } from "@manyhands/base/assert";
import { type Bytes, toHex } from "@manyhands/base/bytes";
import { blobRoot, type Sha256 } from "@manyhands/base/hash";
import { err, ok, type Result } from "@manyhands/base/result";
import type { FrozenRun } from "@manyhands/protocol/run-config";

/** The coordinator refuses larger updates (docs/spec §4.4), so a larger one is not even tried. */
const UPDATE_RMS_MAX = 64;

export type EncodedUpdate = {
  readonly bytes: Bytes;
  readonly updateRoot: string;
  readonly residualBefore: string;
  readonly residualAfter: string;
};

/** An update on its way: its bytes, and the residual that counts once it is accepted. */
export type UnsentArrays = { readonly bytes: Bytes; readonly residualAfter: Float32Array };

export class Replica {
  readonly #run: FrozenRun;
  readonly #hash: Sha256;
  readonly elements: number;
  #weights: Float32Array;
  #residual: Float32Array;
  #unsent: UnsentArrays | null = null;

  constructor(run: FrozenRun, hash: Sha256) {
    this.#run = run;
    this.#hash = hash;
    this.elements = elementCount(run.fragments);
    this.#weights = new Float32Array(this.elements);
    this.#residual = new Float32Array(this.elements);
  }

  /** The weights, live: read only, and copied by whoever keeps them. */
  get weights(): Float32Array {
    return this.#weights;
  }

  get residual(): Float32Array {
    return this.#residual;
  }

  get unsent(): UnsentArrays | null {
    return this.#unsent;
  }

  weightsRoot(): string {
    return toHex(weightsRoot(this.#run.fragments, this.#weights, this.#hash));
  }

  residualRoot(): string {
    return this.#feedbackRoot(this.#residual);
  }

  #feedbackRoot(residual: Float32Array): string {
    return toHex(feedbackRoot(this.#run.fragments, residual, this.#hash));
  }

  setWeights(weights: Float32Array): void {
    this.#weights.set(weights);
  }

  setResidual(residual: Float32Array): void {
    this.#residual.set(residual);
  }

  setUnsent(unsent: UnsentArrays | null): void {
    this.#unsent = unsent;
  }

  /**
   * Takes a closed round's outer step. @returns the new weights' root; on a rejection nothing
   * changed
   */
  follow(aggregate: Bytes | null): Result<string, CodecReject> {
    const { fragments, recipe } = this.#run;
    if (aggregate) {
      const outer = { ...recipe.outer, nesterov: false };
      const { codec } = recipe;
      const weights = this.#weights;
      const applied = applyAggregateInto({ fragments, weights, codec, outer, aggregate });
      if (!applied.ok) return applied;
    }
    return ok(this.weightsRoot());
  }

  /**
   * Compresses residual + pseudo-gradient. The residual itself moves on only with `accept` or
   * `refuse`.
   *
   * @returns a rejection when the pseudo-gradient is not finite or absurdly large
   */
  encode(pseudoGradient: Float32Array): Result<EncodedUpdate, UpdateReject> {
    const { fragments, recipe } = this.#run;
    const screened = screenUpdate({
      fragments,
      covered: allFragments(fragments),
      values: pseudoGradient,
      limits: { rmsMax: UPDATE_RMS_MAX },
    });
    if (!screened.ok) return err(screened.error);
    const residual = this.#residual;
    const { codec } = recipe;
    const { bytes, residualAfter } = compress({ codec, fragments, pseudoGradient, residual });
    this.#unsent = { bytes, residualAfter };
    return ok({
      bytes,
      updateRoot: toHex(blobRoot(bytes, this.#hash)),
      residualBefore: this.residualRoot(),
      residualAfter: this.#feedbackRoot(residualAfter),
    });
  }

  /** The update counts: what it did not carry is the new residual. */
  accept(): void {
    this.#residual = defined(this.#unsent, "an update is on its way").residualAfter;
    this.#unsent = null;
  }

  /** The update does not count: all of it stays here, as before + pseudo-gradient. */
  refuse(): void {
    const { bytes, residualAfter } = defined(this.#unsent, "an update is on its way");
    const { fragments, recipe } = this.#run;
    const carried = new Float32Array(this.elements);
    const decoded = decodeUpdateInto(carried, bytes, fragments, { codec: recipe.codec });
    this.#unsent = null;
    if (!decoded.ok) return;
    for (let i = 0; i < carried.length; i++) {
      this.#residual[i] = Math.fround((residualAfter[i] as number) + (carried[i] as number));
    }
  }

  /** The update is worthless, and the residual in it may be the reason: begin again from zero. */
  forget(): void {
    this.#unsent = null;
    this.#residual.fill(0);
  }

  weightBytes(): Bytes {
    return f32Bytes(this.#weights);
  }
}
