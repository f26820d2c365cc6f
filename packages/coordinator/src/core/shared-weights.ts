// The weights and the public feedback after the rounds closed so far, and their checkpoints.
// Not the protocol: what a close takes was decided and logged before; here it is computed.
import {
  type CloseRoundOptions,
  closeRoundInto,
  decodeScreenedInto,
  initialState,
  type RoundOutcome,
  type SharedState,
  sharedStateRoots,
} from "@manyhands/aggregation/close-round";
import { updateBytes } from "@manyhands/aggregation/codec/update";
import { elementCount } from "@manyhands/aggregation/fragments";
import { f32Bytes } from "@manyhands/aggregation/roots";
import { assert } from "@manyhands/base/assert";
import { type Bytes, toHex } from "@manyhands/base/bytes";
import { blobRoot, type Sha256 } from "@manyhands/base/hash";
import { err, ok, type Result } from "@manyhands/base/result";
import type { RoundResult } from "@manyhands/protocol/propose";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import type { Contribution } from "@manyhands/protocol/state";
import type { CoreBlobs } from "../blobs/blob-store.ts";
import { DamagedBlobError } from "../errors.ts";
import type { Checkpoint } from "./checkpoints.ts";
import { fittingWeights, roundRulesOf } from "./rules.ts";

/** What a close came to: the fields of its event, and the bytes that everybody fetches. */
export type Computed = { readonly result: RoundResult; readonly aggregate: Bytes | undefined };

export class SharedWeights {
  readonly #run: FrozenRun;
  readonly #sha256: Sha256;
  #state: SharedState;
  /** Rounds closed. */
  #rounds: number;

  private constructor(parts: {
    readonly run: FrozenRun;
    readonly sha256: Sha256;
    readonly state: SharedState;
    readonly rounds: number;
  }) {
    this.#run = parts.run;
    this.#sha256 = parts.sha256;
    this.#state = parts.state;
    this.#rounds = parts.rounds;
  }

  /** The start of a run: feedback is zero. */
  static initial(run: FrozenRun, weights: Float32Array, sha256: Sha256): SharedWeights {
    const { outer } = roundRulesOf(run);
    const state = initialState(run.fragments, weights, outer);
    return new SharedWeights({ run, sha256, state, rounds: 0 });
  }

  /** The state of a checkpoint, or what is wrong with its blobs. */
  static restore(
    run: FrozenRun,
    checkpoint: Checkpoint,
    ports: { readonly blobs: Pick<CoreBlobs, "read">; readonly sha256: Sha256 },
  ): Result<SharedWeights, string> {
    const weights = readFloats(checkpoint.weights, ports.blobs);
    if (!weights.ok) return weights;
    const initial = SharedWeights.initial(run, weights.value, ports.sha256);
    if (checkpoint.feedback !== null) {
      const feedback = readFloats(checkpoint.feedback, ports.blobs);
      if (!feedback.ok) return feedback;
      initial.#state = { ...initial.#state, feedback: feedback.value };
    }
    initial.#rounds = checkpoint.rounds;
    const found = initial.roots().stateRoot;
    return found === checkpoint.stateRoot
      ? ok(initial)
      : err(`the checkpoint's state root is ${found}, expected ${checkpoint.stateRoot}`);
  }

  get rounds(): number {
    return this.#rounds;
  }

  /** The current weights; the caller must not write to them. */
  get weights(): Float32Array {
    return this.#state.weights;
  }

  weightsBytes(): Bytes {
    return f32Bytes(this.#state.weights);
  }

  feedbackBytes(): Bytes {
    return f32Bytes(this.#state.feedback);
  }

  roots(): Omit<RoundResult, "aggregate"> {
    return hexRoots(sharedStateRoots(this.#state, this.#rounds, this.#sha256));
  }

  /** Bytes of the update that this run's codec makes; all of its updates have this length. */
  static updateByteLength(run: FrozenRun): number {
    return updateBytes(run.recipe.codec, run.fragments);
  }

  /** Why these bytes cannot be an update of this run; null if they can. */
  screen(bytes: Bytes): string | null {
    const out = new Float32Array(elementCount(this.#run.fragments));
    const { fragments } = this.#run;
    const { codec, limits } = roundRulesOf(this.#run);
    const screened = decodeScreenedInto(out, bytes, { fragments, codec, limits });
    return screened.ok ? null : JSON.stringify(screened.error);
  }

  /**
   * The next round's close, on copies: the state moves on only with `advance`, after the event is
   * in the log.
   *
   * @param read the bytes of an update, by its root
   */
  close(
    contributions: readonly Contribution[],
    read: (updateRoot: string) => Bytes,
  ): { readonly computed: Computed; readonly advance: () => void } {
    const weights = fittingWeights(contributions.map(({ weight }) => weight));
    const options: CloseRoundOptions = {
      ...this.#state,
      weights: this.#state.weights.slice(),
      feedback: this.#state.feedback.slice(),
      ...roundRulesOf(this.#run),
      contributions: contributions.map(({ id, updateRoot }, index) => ({
        id,
        weight: weights[index] as number,
        bytes: read(updateRoot),
      })),
      round: this.#rounds + 1,
      hash: this.#sha256,
    };
    const outcome = closeRoundInto(options);
    const { fragments } = this.#run;
    const next: SharedState = { fragments, weights: options.weights, feedback: options.feedback };
    return {
      computed: { result: resultOf(outcome, this.#sha256), aggregate: outcome.aggregate },
      advance: () => {
        assert(options.round === this.#rounds + 1, "a close advances the state once");
        this.#state = next;
        this.#rounds = options.round;
      },
    };
  }
}

function resultOf(outcome: RoundOutcome, sha256: Sha256): RoundResult {
  const { aggregate } = outcome;
  return {
    aggregate: aggregate
      ? { root: toHex(blobRoot(aggregate, sha256)), byteLength: aggregate.length }
      : null,
    ...hexRoots(outcome),
  };
}

function hexRoots(
  roots: Pick<RoundOutcome, "weightsRoot" | "feedbackRoot" | "stateRoot">,
): Omit<RoundResult, "aggregate"> {
  return {
    weightsRoot: toHex(roots.weightsRoot),
    feedbackRoot: toHex(roots.feedbackRoot),
    stateRoot: toHex(roots.stateRoot),
  };
}

/** Little-endian f32, as checkpoints store them. */
function floatsOf(bytes: Bytes): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float32Array(bytes.length / 4);
  for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(i * 4, true);
  return out;
}

function readFloats(root: string, blobs: Pick<CoreBlobs, "read">): Result<Float32Array, string> {
  try {
    const bytes = blobs.read(root);
    return bytes ? ok(floatsOf(bytes)) : err(`blob ${root} is not there`);
  } catch (error) {
    if (error instanceof DamagedBlobError) return err(error.message);
    throw error;
  }
}
