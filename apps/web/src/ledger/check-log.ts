// The whole log, checked again: text, hash chain, signatures of coordinator and devices, state
// roots, and the protocol's own step from row to row. Not the weights behind the roots: those are
// followed where the model is tried, and by `manyhands verify`.
import { stateRoot } from "@manyhands/aggregation/roots";
import { type Bytes, fromHex, toHex } from "@manyhands/base/bytes";
import {
  decodeRow,
  EMPTY_LOG,
  type LogHead,
  type LogRow,
  rowProblems,
} from "@manyhands/coordinator/log/log";
import type { EventOf, RunEvent } from "@manyhands/protocol/events";
import { type SigningKey, workerIdOf } from "@manyhands/protocol/keys";
import { runIdOf } from "@manyhands/protocol/run-config";
import {
  commitSigningBytes,
  joinSigningBytes,
  logHeadSigningBytes,
} from "@manyhands/protocol/signing";
import type { RunState } from "@manyhands/protocol/state";
import { step } from "@manyhands/protocol/step";

/** Somebody is said to have signed these bytes with one of these keys. */
export type Claim = {
  readonly sequence: number;
  readonly keys: readonly SigningKey[];
  readonly bytes: Bytes;
  readonly signature: string;
  /** What to say if it is not so. */
  readonly problem: string;
};

export type VerifyClaim = (claim: Claim) => Promise<boolean>;

export type Damage = { readonly sequence: number; readonly problem: string };

export type LogFindings = {
  readonly rows: number;
  readonly rounds: number;
  readonly signatures: number;
  readonly damage: Damage | null;
  readonly stateRoot: string | null;
  readonly creditRoot: string | null;
  readonly head: string;
};

/** Signatures that are checked at the same time: the browser verifies on threads of its own. */
const CLAIMS_AT_ONCE = 256;

export class LogCheck {
  readonly #runId: string;
  readonly #verify: VerifyClaim;
  readonly #keys = new Map<string, SigningKey>();
  #authority: readonly SigningKey[] = [];
  #expected: LogHead = EMPTY_LOG;
  #state: RunState | null = null;
  #creditRoot: string | null = null;
  #signatures = 0;
  #damage: Damage | null = null;

  /** @param runId the run that was asked for: the first row must be its creation */
  constructor(runId: string, verify: VerifyClaim) {
    this.#runId = runId;
    this.#verify = verify;
  }

  get findings(): LogFindings {
    return {
      rows: this.#expected.length,
      rounds: this.#state?.roundsClosed ?? 0,
      signatures: this.#signatures,
      damage: this.#damage,
      stateRoot: this.#state?.stateRoot ?? null,
      creditRoot: this.#creditRoot,
      head: this.#expected.head,
    };
  }

  /** Takes the next rows in; nothing more once a row is damaged. */
  async take(rows: readonly LogRow[]): Promise<void> {
    const claims: Claim[] = [];
    let broken: Damage | null = null;
    for (const row of rows) {
      const problem = this.#followed(row, claims);
      if (problem === null) continue;
      broken = { sequence: this.#expected.length, problem };
      break;
    }
    const unsigned = await this.#firstFalse(claims);
    const damages = [broken, unsigned].filter((damage) => damage !== null);
    this.#damage ??= damages.toSorted((a, b) => a.sequence - b.sequence)[0] ?? null;
  }

  /** @returns what is wrong with the row; null if the check has moved on to the next */
  #followed(row: LogRow, claims: Claim[]): string | null {
    const event = decodeRow(row);
    if (!event.ok) return event.error;
    if (this.#state === null) {
      const problem = this.#begin(event.value);
      if (problem !== null) return problem;
    }
    const rules = { runId: this.#runId, authority: this.#authority, verify: () => true };
    const [chainProblem] = rowProblems(row, this.#expected, rules);
    if (chainProblem !== undefined) return chainProblem;
    const problem = rootProblem(event.value) ?? this.#advance(event.value);
    if (problem !== null) return problem;
    claims.push(...this.#claimsOf(event.value, row));
    this.#expected = { length: row.sequence + 1, head: row.head };
    return null;
  }

  #begin(event: RunEvent): string | null {
    if (event.type !== "RunCreated") return `a log begins with RunCreated, found ${event.type}`;
    const found = runIdOf(event.run);
    if (found !== this.#runId) return `this is the log of run ${found}`;
    this.#authority = event.authority;
    return null;
  }

  #advance(event: RunEvent): string | null {
    const next = step(this.#state, event, { now: event.tick });
    if (!next.ok) return `${event.type} breaks the protocol: ${next.error.message}`;
    this.#state = next.value.state;
    if (event.type === "RoundClosed") this.#creditRoot = event.creditRoot;
    return null;
  }

  #claimsOf(event: RunEvent, row: LogRow): readonly Claim[] {
    const { sequence, signature } = row;
    const bytes = logHeadSigningBytes(this.#runId, row.head);
    const problem = "the signature is not the coordinator's";
    const own = { sequence, keys: this.#authority, bytes, signature, problem };
    const worker = this.#workerClaim(event, sequence);
    return worker ? [own, worker] : [own];
  }

  #workerClaim(event: RunEvent, sequence: number): Claim | null {
    if (event.type === "WorkerJoined") {
      const { join, challenge, signature } = event;
      this.#keys.set(workerIdOf(join.signingKey), join.signingKey);
      const bytes = joinSigningBytes(this.#runId, challenge, join);
      const problem = "the join is not signed by the key that joins";
      return { sequence, keys: [join.signingKey], bytes, signature, problem };
    }
    if (event.type !== "UpdateCommitted") return null;
    const { workerId, update, signature } = event;
    const key = this.#keys.get(workerId);
    const bytes = commitSigningBytes(this.#runId, update);
    const problem = `the update is not signed by device ${workerId.slice(0, 12)}`;
    return { sequence, keys: key ? [key] : [], bytes, signature, problem };
  }

  async #firstFalse(claims: readonly Claim[]): Promise<Damage | null> {
    for (let at = 0; at < claims.length; at += CLAIMS_AT_ONCE) {
      const part = claims.slice(at, at + CLAIMS_AT_ONCE);
      const answers = await Promise.all(part.map(this.#verify));
      const place = answers.indexOf(false);
      this.#signatures += place < 0 ? answers.length : place;
      const claim = part[place];
      if (claim) return { sequence: claim.sequence, problem: claim.problem };
    }
    return null;
  }
}

/** A state root binds the roots beside it; that is computed again here. */
function rootProblem(event: RunEvent): string | null {
  if (event.type === "RunCreated") {
    return stateRootProblem({ ...event, weightsRoot: event.run.initialWeightsRoot }, 0);
  }
  return event.type === "RoundClosed" ? stateRootProblem(event, event.round + 1) : null;
}

type Roots = Pick<EventOf<"RoundClosed">, "weightsRoot" | "feedbackRoot" | "stateRoot">;

function stateRootProblem(roots: Roots, round: number): string | null {
  const weightsRoot = fromHex(roots.weightsRoot);
  const feedbackRoot = fromHex(roots.feedbackRoot);
  const found = toHex(stateRoot({ weightsRoot, feedbackRoot, round }));
  if (found === roots.stateRoot) return null;
  return `the state root is ${roots.stateRoot}, but its parts give ${found}`;
}
