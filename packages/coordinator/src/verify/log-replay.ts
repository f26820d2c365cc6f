// The log, row by row: text, chain, signatures of coordinator and workers, and the protocol's own
// rules. A bad row is a finding; the rows after it are checked as far as they can be.
import { isHex } from "@manyhands/base/bytes";
import type { EventOf, RunEvent } from "@manyhands/protocol/events";
import { namedBlobsOf, type RunId, runIdOf } from "@manyhands/protocol/run-config";
import type { RunState } from "@manyhands/protocol/state";
import { step } from "@manyhands/protocol/step";
import { verifySignature } from "../keys.ts";
import {
  decodeRow,
  EMPTY_LOG,
  entryOf,
  headOf,
  type LogHead,
  type LogRow,
  rowProblems,
} from "../log/log.ts";
import type { BlobEvidence } from "./blob-evidence.ts";
import type { Findings } from "./report.ts";
import type { WeightsReplay } from "./weights-replay.ts";
import { WorkerSignatures } from "./worker-signatures.ts";

type Parts = {
  readonly findings: Findings;
  readonly evidence: BlobEvidence;
  readonly weights: WeightsReplay;
};

export class LogReplay {
  readonly #parts: Parts;
  readonly #signatures = new WorkerSignatures();
  #expected: LogHead = EMPTY_LOG;
  #created: EventOf<"RunCreated"> | null = null;
  #runId: RunId | null = null;
  /** Null before the first row, and after a row that the protocol refuses. */
  #state: RunState | null = null;
  #lastGood: RunState | null = null;
  #lost = false;
  #rows = 0;
  #updates = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get rows(): number {
    return this.#rows;
  }

  get updates(): number {
    return this.#updates;
  }

  /** The state after the last row, if every row was accepted. */
  get state(): RunState | null {
    return this.#lost ? null : this.#state;
  }

  /** The newest state that could be replayed. */
  get lastGood(): RunState | null {
    return this.#lastGood;
  }

  row(row: LogRow): void {
    const { findings } = this.#parts;
    const place = `row ${this.#expected.length}`;
    this.#rows += 1;
    const event = decodeRow(row);
    if (!event.ok) findings.add(place, event.error);
    if (event.ok && event.value.type === "RunCreated" && !this.#created) {
      this.#created = event.value;
      this.#runId = runIdOf(event.value.run);
    }
    this.#checkChain(row, place);
    // On with the head that stands there, so that one bad row does not make the next ones look bad.
    const head = isHex(row.head, 32) ? row.head : headOf(this.#expected.head, entryOf(row.event));
    this.#expected = { length: row.sequence + 1, head };
    if (!event.ok) {
      this.#lose(place);
      return;
    }
    this.#checkWorkerSignature(event.value, place);
    this.#checkBlobs(event.value, place);
    this.#advance(event.value, place);
  }

  #checkChain(row: LogRow, place: string): void {
    const rules = {
      runId: this.#runId ?? "00".repeat(32),
      authority: this.#created?.authority ?? [],
      verify: verifySignature,
    };
    for (const problem of rowProblems(row, this.#expected, rules)) {
      this.#parts.findings.add(place, problem);
    }
  }

  #checkWorkerSignature(event: RunEvent, place: string): void {
    const runId = this.#runId;
    if (runId === null) return;
    const problem = this.#signatures.problem(runId, event);
    if (problem !== null) this.#parts.findings.add(place, problem);
  }

  /** Everything that an event names is there; what it says is checked where it is used. */
  #checkBlobs(event: RunEvent, place: string): void {
    const { evidence, findings } = this.#parts;
    if (event.type === "RunCreated") {
      for (const { root } of namedBlobsOf(event.run)) evidence.read(root, place);
    } else if (event.type === "UpdateCommitted") {
      this.#updates += 1;
      const { updateRoot, updateBytes } = event.update;
      const bytes = evidence.read(updateRoot, place);
      if (bytes && bytes.length !== updateBytes) {
        findings.add(
          place,
          `blob ${updateRoot} has ${bytes.length} B, logged are ${updateBytes} B`,
        );
      }
    } else if (event.type === "RoundClosed" && event.aggregate) {
      evidence.read(event.aggregate.root, place);
    }
  }

  #advance(event: RunEvent, place: string): void {
    if (this.#lost) return;
    const before = this.#state;
    const next = step(before, event, { now: event.tick });
    if (!next.ok) {
      const { code, message } = next.error;
      this.#parts.findings.add(place, `${event.type} breaks the protocol: ${code}: ${message}`);
      this.#lose(place);
      return;
    }
    const { state } = next.value;
    this.#state = state;
    this.#lastGood = state;
    const { weights } = this.#parts;
    if (event.type === "RunCreated") weights.begin(event, state, place);
    if (event.type === "RoundClosed" && before) {
      weights.close(event, before, place);
      weights.atCheckpoint(state);
    }
  }

  /** Without this event the state is unknown, so the protocol's rules cannot be checked further. */
  #lose(place: string): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#parts.findings.add(place, "after it only chain, signatures and blobs are checked");
  }
}
