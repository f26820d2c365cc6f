// A run on a stage: the commands of a transcript, and what an onlooker would write down.
// Not a host: roots are stand-ins, nothing is signed and nothing is stored.
import { compareText } from "@manyhands/base/bytes";
import { demandOf } from "../demand.ts";
import type { LeaveReason, RunEvent, Update } from "../events.ts";
import type { WorkerId } from "../keys.ts";
import { commitmentsClosed, roundClosed, roundOpened } from "../propose.ts";
import type { Demand, Effect, RunState } from "../state.ts";
import { step } from "../step.ts";
import {
  fakeResult,
  hashOf,
  honestUpdate,
  joinOf,
  runCreated,
  testRun,
  updateCommitted,
  workerIdFor,
  workerJoined,
} from "./fixtures.ts";

type Options = ReadonlyMap<string, string>;

/** Fields of a commitment that a command may set. */
const UPDATE_NUMBERS = ["tokens", "innerSteps", "groupCount", "updateBytes"] as const;

export class Stage {
  #state: RunState | null = null;
  #now = 0;
  readonly #names = new Map<string, string>();
  readonly #commands: { readonly [verb: string]: (args: string[], options: Options) => string[] };

  constructor() {
    this.#commands = {
      run: (_, options) => this.#run(options),
      at: ([tick]) => this.#at(Number(tick)),
      join: (names, options) => names.flatMap((name) => this.#join(name, options)),
      leave: (names) => names.flatMap((name) => this.#leave(name, "left")),
      expire: (names) => names.flatMap((name) => this.#leave(name, "expired")),
      commit: (names, options) => names.flatMap((name) => this.#commit(name, options)),
      host: () => this.#host(),
      open: (_, options) => this.#open(options),
      close: (_, options) => this.#close(options),
      aggregate: (_, options) => this.#aggregate(options),
      pause: () => this.#apply("pause", { type: "RunPaused", tick: this.#now }),
      resume: () => this.#apply("resume", { type: "RunResumed", tick: this.#now }),
      finish: ([reason]) =>
        this.#apply(`finish ${reason}`, {
          type: "RunFinished",
          tick: this.#now,
          reason: reason as "tokens" | "minutes" | "stopped",
        }),
      state: () => describeState(this.#here),
      workers: () => describeWorkers(this.#here),
      demand: () => [`demand: ${this.#demandText(demandOf(this.#here, this.#now))}`],
    };
  }

  /** One line of a transcript: `verb argument … key=value …`. */
  command(line: string): string[] {
    const words = line.trim().split(/\s+/);
    const options = new Map(
      words.filter((word) => word.includes("=")).map((word) => word.split("=") as [string, string]),
    );
    const [verb = "", ...args] = words.filter((word) => !word.includes("="));
    const command = this.#commands[verb];
    if (!command) return [`no such command: ${verb}`];
    return command(args, options).map((text) => this.#readable(text));
  }

  get #here(): RunState {
    if (!this.#state) throw new Error("a transcript begins with `run`");
    return this.#state;
  }

  #run(options: Options): string[] {
    const number = (key: string): number | undefined =>
      options.has(key) ? Number(options.get(key)) : undefined;
    const policy = ["workersMin", "waitMs", "quorumBps", "graceBps", "roundMsMax"].concat([
      "stalenessMax",
      "evaluateEvery",
      "evaluateWindows",
    ]);
    const rounds = Object.fromEntries(
      policy.flatMap((key) => (options.has(key) ? [[key, Number(options.get(key))]] : [])),
    );
    const tokens = options.get("tokens") === "none" ? null : number("tokens");
    const run = testRun({
      rounds,
      ...(tokens === undefined ? {} : { tokens }),
      ...(options.has("minutes") ? { minutes: Number(options.get("minutes")) } : {}),
      ...(options.has("innerSteps") ? { innerSteps: Number(options.get("innerSteps")) } : {}),
    });
    const model = options.has("vocabSize")
      ? { ...run.model, vocabSize: Number(options.get("vocabSize")) }
      : run.model;
    const kernelSet = options.get("kernelSet") ?? run.kernelSet;
    return this.#apply("run", runCreated({ ...run, model, kernelSet }, this.#now));
  }

  #at(tick: number): string[] {
    this.#now = tick;
    return [];
  }

  #join(name: string, options: Options): string[] {
    this.#names.set(workerIdFor(name), name);
    const event = workerJoined(name, this.#now);
    const numerics = options.get("numerics");
    const join = numerics === "ort-wasm" ? joinOf(name, "ort-wasm") : event.join;
    return this.#apply(`join ${name}`, { ...event, join });
  }

  #leave(name: string, reason: LeaveReason): string[] {
    const workerId = workerIdFor(name);
    return this.#apply(`${reason} ${name}`, {
      type: "WorkerLeft",
      tick: this.#now,
      workerId,
      reason,
    });
  }

  #commit(name: string, options: Options): string[] {
    const state = this.#here;
    const workerId = workerIdFor(name);
    const round = Number(options.get("round") ?? state.current?.round ?? state.roundsClosed - 1);
    const steps = options.get("steps");
    const honest = honestUpdate(state, workerId, round, steps ? Number(steps) : undefined);
    const update = changed(honest, options);
    return this.#apply(`commit ${name} ${round}`, updateCommitted(workerId, update, this.#now));
  }

  /** Does what the protocol demands at this time, until it demands nothing more. */
  #host(): string[] {
    const lines: string[] = [];
    for (;;) {
      const demand = demandOf(this.#here, this.#now);
      if (demand.kind === "wait") return [...lines, `  ${this.#demandText(demand)}`];
      lines.push(...this.#follow(demand));
    }
  }

  #follow(demand: Exclude<Demand, { kind: "wait" }>): string[] {
    const none: Options = new Map();
    switch (demand.kind) {
      case "open-round":
        return this.#open(none);
      case "close-commitments":
        return this.#close(none);
      case "aggregate":
        return [`  takes ${this.#demandText(demand)}`, ...this.#aggregate(none)];
      case "finish":
        return this.#apply(`finish ${demand.reason}`, {
          type: "RunFinished",
          tick: this.#now,
          reason: demand.reason,
        });
    }
  }

  #open(options: Options): string[] {
    const state = this.#here;
    const seeds = {
      seed: hashOf(`seed ${state.roundsClosed}`),
      auditSeed: hashOf(`audit ${state.roundsClosed}`),
    };
    const event = roundOpened(state, this.#now, seeds);
    return this.#apply(`open ${event.round}`, {
      ...event,
      round: Number(options.get("round") ?? event.round),
      position: Number(options.get("position") ?? event.position),
      baseRoot: options.has("baseRoot") ? hashOf("another base") : event.baseRoot,
    });
  }

  #close(options: Options): string[] {
    const state = this.#here;
    const auditSeed = hashOf(options.get("auditSeed") ?? `audit ${state.roundsClosed}`);
    const event = commitmentsClosed(state, this.#now, auditSeed);
    const round = Number(options.get("round") ?? event.round);
    return this.#apply(`close ${event.round}`, { ...event, round });
  }

  #aggregate(options: Options): string[] {
    const state = this.#here;
    const event = roundClosed(state, this.#now, fakeResult(state));
    const wrong = (key: string, right: string): string =>
      options.has(key) ? hashOf("wrong") : right;
    return this.#apply(`closed ${event.round}`, {
      ...event,
      round: Number(options.get("round") ?? event.round),
      updatesRoot: wrong("updatesRoot", event.updatesRoot),
      creditRoot: wrong("creditRoot", event.creditRoot),
      weightsRoot: wrong("weightsRoot", event.weightsRoot),
      aggregate: options.has("aggregate")
        ? { root: hashOf("aggregate"), byteLength: 1 }
        : event.aggregate,
    });
  }

  #apply(title: string, event: RunEvent): string[] {
    const head = `${this.#now} ${title}:`;
    const next = step(this.#state, event, { now: this.#now });
    if (!next.ok) return [`${head} ${next.error.code} (${next.error.message})`];
    this.#state = next.value.state;
    return [`${head} ok`, ...next.value.effects.map((effect) => `  ${effectText(effect)}`)];
  }

  #demandText(demand: Demand): string {
    if (demand.kind === "wait")
      return `waits${demand.wakeAt === null ? "" : ` until ${demand.wakeAt}`}`;
    if (demand.kind !== "aggregate") return demand.kind;
    const parts = demand.contributions.map(
      ({ workerId, round, weight }) => `${this.#names.get(workerId)} ${round} × ${weight}`,
    );
    return parts.length === 0 ? "nothing" : parts.toSorted(compareText).join(", ");
  }

  /** Names for ids, and eight digits of every other hash. */
  #readable(text: string): string {
    return text.replace(/[0-9a-f]{64}/g, (hash) => this.#names.get(hash) ?? `${hash.slice(0, 8)}…`);
  }
}

function changed(update: Update, options: Options): Update {
  const numbers = Object.fromEntries(
    UPDATE_NUMBERS.flatMap((key) =>
      options.has(key) ? [[key, Number(options.get(key))] as const] : [],
    ),
  );
  const { metrics } = update;
  const innerStepMicros = Number(options.get("micros") ?? metrics.innerStepMicros);
  const evaluated = options.get("evaluated");
  const evaluation = evaluated ? { lossMicronats: 1, tokens: Number(evaluated) } : null;
  return {
    ...update,
    ...numbers,
    metrics: { ...metrics, innerStepMicros, evaluation },
    baseRoot: options.has("baseRoot") ? hashOf("another base") : update.baseRoot,
    codec: options.has("codec") ? "sign" : update.codec,
    numerics: options.has("numerics") ? "reference" : update.numerics,
    fragments: options.has("fragments") ? [0] : update.fragments,
    data: options.has("private")
      ? { kind: "private" }
      : update.data.kind === "range" && options.has("firstSample")
        ? { ...update.data, firstSample: Number(options.get("firstSample")) }
        : update.data,
  };
}

function effectText(effect: Effect): string {
  if (effect.kind === "receipt") {
    return `receipt to ${effect.to} for round ${effect.commitment.update.round}`;
  }
  const { message } = effect;
  const to = effect.kind === "send" ? effect.to : "everybody";
  if (message.type === "round") {
    const { assignment } = message;
    const span = `position ${message.position} → ${message.positionAfter}`;
    if (!assignment) return `to ${to}: round ${message.round}, no part, ${span}`;
    const last = assignment.firstSample + assignment.sampleCount - 1;
    const work = `${assignment.innerSteps} steps, samples ${assignment.firstSample}–${last}`;
    const windows = assignment.evaluate ? `, windows ${assignment.evaluate.windows.join(" ")}` : "";
    return `to ${to}: round ${message.round}, ${work}${windows}, ${span}`;
  }
  if (message.type === "closed") {
    return `to ${to}: closed ${message.closed.round}${message.closed.aggregate ? "" : ", no aggregate"}`;
  }
  if (message.type === "finished") return `to ${to}: finished (${message.reason})`;
  return `to ${to}: ${message.type}`;
}

function describeState(state: RunState): string[] {
  const { phase, roundsClosed, pending, tokensCommitted, trainingMs, recent, current } = state;
  const quorum = current?.quorumAt ?? null;
  return [
    `state: ${phase}, ${roundsClosed} closed, ${pending.length} pending, ` +
      `${tokensCommitted} tokens in ${trainingMs} ms, ` +
      `remembers ${recent.map(({ round }) => round).join(" ") || "no round"}` +
      `${quorum === null ? "" : `, quorum at ${quorum}`}`,
  ];
}

function describeWorkers(state: RunState): string[] {
  const line = (workerId: WorkerId): string => {
    const worker = state.workers.get(workerId);
    if (!worker) return workerId;
    const { active, credit, updateCount, innerStepMicros } = worker;
    const speed = innerStepMicros === null ? "speed unknown" : `${innerStepMicros} µs a step`;
    const here = active ? "active" : "gone";
    return `  ${workerId}: ${here}, credit ${credit} from ${updateCount} updates, ${speed}`;
  };
  return ["workers:", ...[...state.workers.keys()].map(line)];
}
