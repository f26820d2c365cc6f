// Settlements beside a coordinator: after every so many rounds, as far as they go, and again. What
// fails is told and tried again; training never waits for it.
import { mkdir } from "node:fs/promises";
import { InputError, ManyhandsError, messageOf } from "@manyhands/base/errors";
import { ScoreKeeper } from "@manyhands/chain/scores/score-keeper";
import { ScoreStore } from "@manyhands/chain/scores/score-store";
import type { Contracts } from "@manyhands/chain/settle/contracts";
import { Journal } from "@manyhands/chain/settle/journal";
import type { Bundle, BundlePlace } from "@manyhands/chain/settle/ledger";
import { Sender } from "@manyhands/chain/settle/sender";
import { Settler, type Standing } from "@manyhands/chain/settle/settler";
import type { SettlementDesk } from "@manyhands/coordinator/settlement-desk";
import type { Pay } from "@manyhands/protocol/pay";
import { type FrozenRun, type RunId, runIdOf } from "@manyhands/protocol/run-config";
import type { PrivateKeyAccount } from "viem/accounts";
import type { ChainFlags } from "../pay/chain-flags.ts";
import { LOCAL_RPC } from "../pay/rpc-url.ts";
import { standingText } from "../pay/standing.ts";
import { ensureLocalChain } from "./local-server.ts";
import { isLocal, journalPath, openContracts, readKey } from "./open-chain.ts";
import { payDesk } from "./pay-desk.ts";
import { readPayLog } from "./pay-log.ts";
import { scoreDesk, waitingText } from "./score-desk.ts";
import { scoresPath } from "./score-evidence.ts";

export type SettlingBeside = {
  readonly desk: SettlementDesk;
  /** Begins to look, every now and then. */
  start(around: Around): void;
  /** One settlement of everything that is closed, until all are paid or the signal comes. */
  finish(stop: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

type Around = {
  readonly say: (sentence: string) => void;
  readonly roundsClosed: () => number;
};

/** RPCs of other chains count what they are asked. */
const LOOK_MS = { local: 1_000, other: 15_000 };
/** What is under way is stored: the journal is free again while the chain takes its time. */
const PATIENCE_MS = 15_000;

/**
 * By account: one key has one row of nonces, and a host settles many runs with it. The owner may
 * also ask for a settlement while one is looked at.
 */
const turns = new Map<string, Promise<unknown>>();

/** @throws InputError for a run that pays nothing; ChainError, JournalError */
export async function settleBeside(
  run: FrozenRun,
  folder: string,
  flags: ChainFlags,
): Promise<SettlingBeside> {
  const { pay } = run;
  if (!pay) {
    const hint = "Leave --chain away, or say what the run pays in its file.";
    throw new InputError(`${run.name} pays nothing: its run file has no \`pay\``, { hint });
  }
  const account = await readKey(flags.key);
  const endChain = flags.rpc === LOCAL_RPC ? await ensureLocalChain() : async () => undefined;
  try {
    const contracts = await openContracts(pay, flags);
    await mkdir(folder, { recursive: true });
    const journal = Journal.beside(journalPath(folder));
    const runId = runIdOf(run);
    const { rpc } = flags;
    const scores = pay.scores ? ScoreStore.open(scoresPath(folder)) : null;
    return new Beside({ folder, pay, runId, account, contracts, journal, scores, rpc, endChain });
  } catch (caught) {
    await endChain();
    throw caught;
  }
}

type Parts = {
  readonly folder: string;
  readonly pay: Pay;
  readonly runId: RunId;
  readonly account: PrivateKeyAccount;
  readonly contracts: Contracts;
  /** For what is served. */
  readonly journal: Journal;
  /** Where validators score. */
  readonly scores: ScoreStore | null;
  readonly rpc: string;
  /** Ends the local chain, if it is this process's own. */
  readonly endChain: () => Promise<void>;
};

class Beside implements SettlingBeside {
  readonly desk: SettlementDesk;
  readonly #parts: Parts;
  readonly #ending = new AbortController();
  readonly #closing = new AbortController();
  #working: Promise<void> = Promise.resolve();
  #said = "";
  #saidOfScores: string | null = null;
  /** Windows as validators score them; null where accepted tokens count. */
  readonly #keeper: ScoreKeeper | null;
  #isFinished = false;
  #around: Around = { say: () => undefined, roundsClosed: () => 0 };
  /** The log is long: it is read once for what it is asked. */
  #newest: { readonly asked: string; readonly bundle: Bundle | null } | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#keeper = parts.scores ? this.#keeperOf(parts.scores) : null;
    const scores = this.#keeper ? scoreDesk(this.#keeper) : undefined;
    this.desk = { ...payDesk({ ...parts, settle: () => this.#inTurn(true) }), scores };
  }

  start(around: Around): void {
    this.#around = around;
    this.#working = this.#look(this.#ending.signal, false);
  }

  async finish(stop: AbortSignal): Promise<void> {
    this.#ending.abort();
    await this.#working;
    this.#isFinished = true;
    await this.#look(stop, true);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#ending.abort();
    await this.#working;
    this.#parts.journal.close();
    this.#parts.scores?.close();
    await this.#parts.endChain();
  }

  /** @param isLast settles what is closed however few rounds it is, and ends when all is paid */
  async #look(stop: AbortSignal, isLast: boolean): Promise<void> {
    while (!stop.aborted) {
      const isScoring = this.#lookAtScores();
      const standing = await this.#advance(isLast);
      if (isLast && standing && isEnd(standing, isScoring)) return;
      await pause(isLocal(this.#parts.pay) ? LOOK_MS.local : LOOK_MS.other, stop);
    }
  }

  #keeperOf(store: ScoreStore): ScoreKeeper {
    const { runId, pay } = this.#parts;
    const end = () => {
      return { roundsClosed: this.#around.roundsClosed(), isFinished: this.#isFinished };
    };
    return new ScoreKeeper({ store, terms: { runId, pay }, end });
  }

  /** @returns whether a window waits for validators */
  #lookAtScores(): boolean {
    const text = this.#scoresText();
    if (text !== null && text !== this.#saidOfScores) this.#around.say(text);
    this.#saidOfScores = text;
    return text !== null;
  }

  #scoresText(): string | null {
    try {
      const waiting = this.#keeper?.waiting() ?? null;
      return waiting && waitingText(waiting, this.#parts.pay.scores?.validators.length ?? 0);
    } catch (caught) {
      if (!(caught instanceof ManyhandsError)) throw caught;
      return `Scores wait: ${messageOf(caught)}`;
    }
  }

  async #advance(isLast: boolean): Promise<Standing | null> {
    try {
      const standing = await this.#inTurn(isLast);
      if (standing.kind !== "nothing-new") this.#tell(standingText(standing));
      return standing;
    } catch (caught) {
      if (!(caught instanceof ManyhandsError)) throw caught;
      this.#tell(`Settling waits: ${messageOf(caught)}`);
      return null;
    }
  }

  #inTurn(force: boolean): Promise<Standing> {
    const { address } = this.#parts.account;
    const step = (turns.get(address) ?? Promise.resolve()).then(() => this.#step(force));
    turns.set(
      address,
      step.catch(() => undefined),
    );
    return step;
  }

  /** Holds the journal only so long: in between, the owner's own commands can have it. */
  async #step(force: boolean): Promise<Standing> {
    const { folder, pay, runId, account, contracts } = this.#parts;
    const journal = Journal.open(journalPath(folder));
    try {
      const stop = this.#closing.signal;
      const waiting = { patienceMs: PATIENCE_MS, stop };
      const sender = new Sender({ client: contracts.client, journal, account, ...waiting });
      const settler = new Settler({
        ...{ runId, pay, contracts, journal, sender },
        roundsClosed: this.#around.roundsClosed,
        bundleWithin: (funded, place) => this.#bundleWithin(funded, place),
      });
      return await settler.advance(force);
    } finally {
      journal.close();
    }
  }

  #bundleWithin(funded: bigint, place: BundlePlace): Bundle | null {
    const rounds = this.#around.roundsClosed();
    const scored = this.#keeper?.known ?? 0;
    const asked = [rounds, funded, place.onChainRunId, place.sequence, scored].join();
    if (this.#newest?.asked !== asked) {
      const bundle = readPayLog(this.#parts.folder).bundleWithin(funded, place);
      this.#newest = { asked, bundle };
    }
    return this.#newest.bundle;
  }

  #tell(sentence: string): void {
    if (sentence !== this.#said) this.#around.say(sentence);
    this.#said = sentence;
  }
}

/** Nothing is left to do. A paused run may be resumed. */
/** @param isScoring somebody is waited for, and then there is more to settle */
function isEnd(standing: Standing, isScoring: boolean): boolean {
  if (standing.kind === "closed") return standing.why === "finished";
  if (standing.kind === "not-created") return true;
  return !isScoring && ["nothing-new", "paid"].includes(standing.kind);
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      stop.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    stop.addEventListener("abort", done);
    if (stop.aborted) done();
  });
}
