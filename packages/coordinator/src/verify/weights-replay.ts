// The weights of a run, computed again close by close from the bytes of the updates, and compared
// with the log. Where bytes are damaged it pauses, and goes on at the next stored state.
import { type Bytes, toHex } from "@manyhands/base/bytes";
import { contributionsOf } from "@manyhands/protocol/contributions";
import type { EventOf } from "@manyhands/protocol/events";
import type { RunState } from "@manyhands/protocol/state";
import { platformSha256, rootOfBytes } from "../blobs/blob-hasher.ts";
import type { Checkpoint } from "../core/checkpoints.ts";
import { SharedWeights } from "../core/shared-weights.ts";
import type { BlobEvidence } from "./blob-evidence.ts";
import type { Findings } from "./report.ts";

export class WeightsReplay {
  readonly #checkpoints: readonly Checkpoint[];
  readonly #evidence: BlobEvidence;
  readonly #findings: Findings;
  #weights: SharedWeights | null = null;
  #recomputed = 0;

  constructor(checkpoints: readonly Checkpoint[], evidence: BlobEvidence, findings: Findings) {
    this.#checkpoints = checkpoints;
    this.#evidence = evidence;
    this.#findings = findings;
  }

  /** Rounds that were computed and agree. */
  get recomputed(): number {
    return this.#recomputed;
  }

  /** The weights after the last round; null if they could not be computed. */
  get weights(): Float32Array | null {
    return this.#weights?.weights ?? null;
  }

  begin(event: EventOf<"RunCreated">, state: RunState, place: string): void {
    const first = this.#checkpoints.find(({ rounds }) => rounds === 0);
    if (!first) {
      this.#findings.add("side value checkpoints", "the initial weights are not in the list");
      return;
    }
    this.#weights = this.#restore(first, state);
    const roots = this.#weights?.roots();
    if (!roots) return;
    this.#compare(place, "initialWeightsRoot", [event.run.initialWeightsRoot, roots.weightsRoot]);
    this.#compare(place, "feedbackRoot", [event.feedbackRoot, roots.feedbackRoot]);
    this.#compare(place, "stateRoot", [event.stateRoot, roots.stateRoot]);
  }

  /** @param before the state in which the close was due */
  close(event: EventOf<"RoundClosed">, before: RunState, place: string): void {
    const weights = this.#weights;
    if (!weights || weights.rounds !== event.round) return;
    const contributions = contributionsOf(before);
    const bytes = new Map<string, Bytes>();
    for (const { updateRoot } of contributions) {
      const found = this.#evidence.read(updateRoot, place);
      if (found) bytes.set(updateRoot, found);
    }
    if (contributions.some(({ updateRoot }) => !bytes.has(updateRoot))) {
      this.#pause(place, "the round cannot be computed again without its updates");
      return;
    }
    const { computed, advance } = weights.close(contributions, (root) => bytes.get(root) as Bytes);
    const { result, aggregate } = computed;
    const agrees = [
      this.#compare(place, "weightsRoot", [event.weightsRoot, result.weightsRoot]),
      this.#compare(place, "feedbackRoot", [event.feedbackRoot, result.feedbackRoot]),
      this.#compare(place, "stateRoot", [event.stateRoot, result.stateRoot]),
      this.#compare(place, "aggregate root", [
        event.aggregate?.root ?? "none",
        aggregate ? rootOfBytes(aggregate) : "none",
      ]),
      this.#compare(place, "aggregate bytes", [
        String(event.aggregate?.byteLength ?? 0),
        String(aggregate?.length ?? 0),
      ]),
    ];
    if (agrees.includes(false)) {
      this.#pause(place, "the rounds that follow are computed again from the next stored state on");
      return;
    }
    advance();
    this.#recomputed += 1;
  }

  /**
   * After a close: the stored state of this many rounds, if there is one, is the same, or helps
   * out.
   */
  atCheckpoint(state: RunState): void {
    const stored = this.#checkpoints.find(({ rounds }) => rounds === state.roundsClosed);
    if (!stored || stored.rounds === 0) return;
    const restored = this.#restore(stored, state);
    if (!this.#weights) {
      this.#weights = restored;
      return;
    }
    const computed = rootOfBytes(this.#weights.weightsBytes());
    this.#compare(`checkpoint after ${stored.rounds} rounds`, "weights", [
      stored.weights,
      computed,
    ]);
  }

  #restore(checkpoint: Checkpoint, state: RunState): SharedWeights | null {
    const place = `checkpoint after ${checkpoint.rounds} rounds`;
    this.#compare(place, "stateRoot", [checkpoint.stateRoot, state.stateRoot]);
    const blobs = {
      read: (root: string) => this.#evidence.read(root, place),
    };
    const restored = SharedWeights.restore(state.run, checkpoint, {
      blobs,
      sha256: platformSha256,
    });
    if (restored.ok) return restored.value;
    this.#findings.add(place, restored.error);
    return null;
  }

  #pause(place: string, why: string): void {
    this.#findings.add(place, why);
    this.#weights = null;
  }

  #compare(place: string, field: string, [logged, computed]: readonly [string, string]): boolean {
    if (logged === computed) return true;
    this.#findings.add(place, `${field} is ${logged}, computed again it is ${computed}`);
    return false;
  }
}

/** Bitwise: −0 and 0 differ, and so do two kinds of NaN. */
export function sameFloats(a: Float32Array, b: Float32Array): boolean {
  return (
    a.length === b.length && toHex(platformSha256(bytesOf(a))) === toHex(platformSha256(bytesOf(b)))
  );
}

function bytesOf(values: Float32Array): Bytes {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
