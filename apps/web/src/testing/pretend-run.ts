// A run that never happened, with a log that is sound all the same: real events, real signatures,
// real roots of credit and updates. For pictures and tests; the losses are invented.
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { stateRoot } from "@manyhands/aggregation/roots";
import { type Bytes, fromHex, toHex } from "@manyhands/base/bytes";
import { Random } from "@manyhands/base/random";
import { EMPTY_HISTORY, foldHistory, type History } from "@manyhands/coordinator/history";
import { EMPTY_LOG, type LogHead, type LogRow, sealRows } from "@manyhands/coordinator/log/log";
import { closeDueAt, finishDue, openDueAt } from "@manyhands/protocol/due";
import type { EventOf, Join, Numerics, RunEvent, Update } from "@manyhands/protocol/events";
import { type SigningKey, workerIdOf } from "@manyhands/protocol/keys";
import type { Pay } from "@manyhands/protocol/pay";
import { commitmentsClosed, roundClosed, roundOpened } from "@manyhands/protocol/propose";
import { auditCommitmentOf } from "@manyhands/protocol/roots";
import { type FrozenRun, runIdOf } from "@manyhands/protocol/run-config";
import { commitSigningBytes, joinSigningBytes } from "@manyhands/protocol/signing";
import type { RunState } from "@manyhands/protocol/state";
import { step } from "@manyhands/protocol/step";
import { hashOf, honestUpdate, TEST_MODEL, testRun } from "@manyhands/protocol/testing/fixtures";

type Signer = { readonly key: SigningKey; readonly sign: (bytes: Bytes) => string };

function newSigner(): Signer {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const x = publicKey.export({ format: "jwk" }).x ?? "";
  const bytes = Buffer.from(x, "base64url").toString("hex");
  return { key: { algorithm: "ed25519", bytes }, sign: signWith(privateKey) };
}

function signWith(privateKey: KeyObject): (bytes: Bytes) => string {
  return (bytes) => sign(null, bytes, privateKey).toString("hex");
}

export type Hand = {
  readonly name: string;
  readonly numerics: Numerics;
  readonly pace: number;
  /** Whom it is paid to, 20 bytes in hex. */
  readonly account?: string;
};

export type PretendOptions = {
  readonly hands: readonly Hand[];
  readonly rounds: number;
  readonly tokens?: number;
  readonly name?: string;
  readonly end?: "finished" | "paused" | "training";
  /** What it pays; nothing, if left away. */
  readonly pay?: Pay;
  /** Changes an event before it is signed: a coordinator that lies. */
  readonly forge?: (event: RunEvent) => RunEvent;
};

/** So many that the run has a third of its way before it, or ends by them. */
function budgetOf({ hands, rounds, tokens, end }: PretendOptions): number {
  const whole = 16 * 8 * 128 * Math.max(1, hands.length) * Math.max(1, rounds);
  return tokens ?? Math.round(end === "finished" ? whole * 0.8 : whole * 1.5);
}

function frozen(options: PretendOptions): FrozenRun {
  const { name = "shakespeare" } = options;
  const tokens = budgetOf(options);
  const base = testRun({
    tokens,
    innerSteps: 16,
    rounds: { evaluateEvery: 5, evaluateWindows: 64, workersMin: 1 },
  });
  return {
    ...base,
    name,
    model: {
      ...TEST_MODEL,
      ...{ hiddenSize: 256, intermediateSize: 683, numHiddenLayers: 6 },
      maxPositionEmbeddings: 128,
    },
    recipe: { ...base.recipe, batchSequences: 8, contextLength: 128 },
    dataset: {
      files: [{ name: "shakespeare.txt", byteLength: 1_115_394, root: hashOf("text") }],
      validationBps: 1_000,
    },
    fragments: [{ name: "w", shape: [4_827_904], dtype: "f32" }],
    ...(options.pay ? { pay: options.pay } : {}),
  };
}

/** Writes the run's log event by event, as a coordinator would. */
export class PretendRun {
  readonly run: FrozenRun;
  readonly runId: string;
  readonly rows: LogRow[] = [];
  readonly closedRows: number[] = [];
  readonly workerIds: string[] = [];
  history: History = EMPTY_HISTORY;
  readonly #signer = newSigner();
  readonly #signers = new Map<string, Signer>();
  readonly #random = new Random(7);
  readonly #options: PretendOptions;
  #head: LogHead = EMPTY_LOG;
  #state: RunState | null = null;
  #now = 0;

  constructor(options: PretendOptions) {
    this.#options = options;
    this.run = frozen(options);
    this.runId = runIdOf(this.run);
    const weightsRoot = fromHex(this.run.initialWeightsRoot);
    const feedbackRoot = fromHex(hashOf("no feedback"));
    this.#append({
      type: "RunCreated",
      tick: 0,
      run: this.run,
      feedbackRoot: toHex(feedbackRoot),
      stateRoot: toHex(stateRoot({ weightsRoot, feedbackRoot, round: 0 })),
      authority: [this.#signer.key],
    });
    for (const hand of options.hands) this.#join(hand);
    for (let round = 0; round < options.rounds && !finishDue(this.state); round++) this.round();
    if (options.end === "paused") this.#append({ type: "RunPaused", tick: this.#now });
    if (options.end === "finished") {
      const reason = finishDue(this.state) ?? "stopped";
      this.#append({ type: "RunFinished", tick: this.#now, reason });
    }
    if (options.end === "training") this.#open();
  }

  get state(): RunState {
    if (!this.#state) throw new Error("a run begins with its creation");
    return this.#state;
  }

  /** One whole round of everybody who is here. */
  round(): void {
    this.#open();
    const loss = this.#loss();
    for (const [index, workerId] of this.workerIds.entries()) {
      const pace = this.#options.hands[index]?.pace ?? 1;
      if (this.#random.unit() > 0.93 && index > 0) continue;
      this.#now += Math.ceil((900 * (0.7 + this.#random.unit())) / Math.max(1, pace));
      this.#commit(workerId, loss * (1 + 0.02 * (this.#random.unit() - 0.5)));
    }
    this.#now = Math.max(this.#now + 1, closeDueAt(this.state) ?? 0);
    const auditSeed = hashOf(`audit ${this.state.roundsClosed}`);
    this.#append(commitmentsClosed(this.state, this.#now, auditSeed));
    this.#now += 180;
    this.#append(roundClosed(this.state, this.#now, this.#result()));
  }

  #loss(): number {
    const share = this.state.tokensCommitted / budgetOf(this.#options);
    return 1.42 + 4.1 * Math.exp(-share * 9) + 0.35 * (1 - share);
  }

  #open(): void {
    const auditSeed = hashOf(`audit ${this.state.roundsClosed}`);
    const seed = hashOf(`seed ${this.state.roundsClosed}`);
    this.#now = Math.max(this.#now + 60, openDueAt(this.state) ?? 0);
    const opened = roundOpened(this.state, this.#now, { seed, auditSeed });
    this.#append({ ...opened, auditCommitment: auditCommitmentOf(auditSeed) });
  }

  #join({ name, numerics, account }: Hand): void {
    const signer = newSigner();
    const join: Join = {
      signingKey: signer.key,
      exchangeKey: { algorithm: "x25519", bytes: hashOf(`exchange ${name}`) },
      payout: account === undefined ? null : { account, delegation: null },
      numerics,
      name,
    };
    const workerId = workerIdOf(signer.key);
    this.#signers.set(workerId, signer);
    this.workerIds.push(workerId);
    const challenge = hashOf(`challenge ${name}`);
    const signature = signer.sign(joinSigningBytes(this.runId, challenge, join));
    this.#now += 300;
    this.#append({ type: "WorkerJoined", tick: this.#now, join, challenge, signature });
  }

  #commit(workerId: string, loss: number): void {
    const { roundsClosed } = this.state;
    const honest = honestUpdate(this.state, workerId, roundsClosed);
    const part = this.state.current?.assignments.get(workerId)?.evaluate;
    const update: Update = {
      ...honest,
      updateBytes: 965_000,
      metrics: {
        trainLossMicronats: Math.round(loss * 1e6),
        innerStepMicros: 40_000,
        evaluation: part
          ? {
              lossMicronats: Math.round((loss * 1.03 + 0.02) * 1e6),
              tokens: part.windows.length * this.run.recipe.contextLength,
            }
          : null,
      },
    };
    const signer = this.#signers.get(workerId);
    const signature = signer?.sign(commitSigningBytes(this.runId, update)) ?? "";
    this.#append({ type: "UpdateCommitted", tick: this.#now, workerId, update, signature });
  }

  #result(): Pick<
    EventOf<"RoundClosed">,
    "aggregate" | "weightsRoot" | "feedbackRoot" | "stateRoot"
  > {
    const round = this.state.roundsClosed;
    const moved = this.state.closing.length > 0;
    const weightsRoot = moved ? hashOf(`weights after ${round}`) : this.state.weightsRoot;
    const feedbackRoot = moved ? hashOf(`feedback after ${round}`) : this.state.feedbackRoot;
    const roots = { weightsRoot: fromHex(weightsRoot), feedbackRoot: fromHex(feedbackRoot) };
    return {
      aggregate: moved ? { root: hashOf(`aggregate ${round}`), byteLength: 965_000 } : null,
      weightsRoot,
      feedbackRoot,
      stateRoot: toHex(stateRoot({ ...roots, round: round + 1 })),
    };
  }

  #append(honest: RunEvent): void {
    const event = this.#options?.forge?.(honest) ?? honest;
    const next = step(this.#state, event, { now: event.tick });
    if (!next.ok) throw new Error(`${event.type}: ${next.error.message}`);
    this.#state = next.value.state;
    const [row] = sealRows([event], this.#head, { runId: this.runId, sign: this.#signer.sign });
    if (!row) throw new Error("an event makes a row");
    this.rows.push(row);
    if (event.type === "RoundClosed") this.closedRows.push(row.sequence);
    this.#head = { length: row.sequence + 1, head: row.head };
    this.history = foldHistory(this.history, event, {
      nameWorker: (joined) => workerIdOf(joined.join.signingKey),
    });
  }
}
