// What a run's owner may do with it on its chain: pause, finish, and take back what no settlement
// credits. Each refusal comes before anything is signed. Not the paying in: funding.ts.
import type { Contracts, OnChainRun } from "./contracts.ts";
import { checkCreated } from "./created.ts";
import { RefusedError } from "./errors.ts";
import type { Journal } from "./journal.ts";
import type { Sender } from "./sender.ts";
import { onChainRunIdOf } from "./settler.ts";

export type OwnerOptions = {
  readonly contracts: Contracts;
  readonly journal: Journal;
  readonly sender: Sender;
};

/** What the log says of the run. */
export type Ending = {
  /** 32 bytes in hex: weights after the last closed round. */
  readonly weightsRoot: string;
  /** Whether its training has ended. */
  readonly isOver: boolean;
  /** What everybody together has earned. */
  readonly owed: bigint;
};

export type Reclaimed = {
  readonly amount: bigint;
  /** Final and not claimed: it stays where it is, for its accounts. */
  readonly kept: bigint;
};

export class Owner {
  readonly #options: OwnerOptions;

  constructor(options: OwnerOptions) {
    this.#options = options;
  }

  /** A paused run takes no settlements; what was posted becomes final and is paid. */
  async setPaused(isPaused: boolean): Promise<void> {
    const { contracts, journal, sender } = this.#options;
    const { id, run } = await this.#own();
    if (run.paused === isPaused) {
      throw new RefusedError(isPaused ? "the run is paused already" : "the run is not paused");
    }
    const done = journal.transactions().filter(({ purpose, state }) => {
      return purpose.startsWith("paused:") && state === "mined";
    });
    const call = contracts.registryCall("setPaused", BigInt(id), isPaused);
    await sender.once(`paused:${done.length + 1}:${isPaused}`, call);
  }

  /**
   * After it two more challenge windows are left for the last settlements.
   *
   * @param anyway though it still trains, or somebody's work is in no settlement
   */
  async finish(ending: Ending, anyway: boolean): Promise<void> {
    const { contracts, sender } = this.#options;
    const { id, run } = await this.#own();
    if (run.finishedAt !== 0n) throw new RefusedError("the run is finished on its chain already");
    if (!ending.isOver && !anyway) {
      throw new RefusedError("the run still trains: whoever works from now on would not be paid", {
        hint: "Stop it first, or finish it --anyway.",
      });
    }
    if (!anyway) await this.#refuseOwed(id, ending.owed);
    const root = `0x${ending.weightsRoot}`;
    await sender.once("finish", contracts.registryCall("finish", BigInt(id), root));
  }

  /** Gives back what no settlement credits, three challenge windows after the finish. */
  async reclaim(ending: Ending, anyway: boolean): Promise<Reclaimed> {
    const { contracts, sender } = this.#options;
    const { id, run } = await this.#own();
    if (run.finishedAt === 0n) {
      throw new RefusedError("the run is not finished: its money is its workers' until then", {
        hint: "`manyhands pay finish` finishes it; three challenge windows later this is possible.",
      });
    }
    if (!anyway) await this.#refuseOwed(id, ending.owed);
    const before = run.funded;
    await sender.once("reclaim", contracts.registryCall("reclaimUnspent", BigInt(id)));
    const { funded, paid } = await contracts.run(id);
    if (before === funded) throw new RefusedError("nothing is left to take back");
    return { amount: before - funded, kept: funded - paid };
  }

  /** @throws RefusedError while work is in no settlement that is posted */
  async #refuseOwed(id: number, owed: bigint): Promise<void> {
    const { contracts } = this.#options;
    const pending = await contracts.pending(id);
    const { total } = pending ?? (await contracts.settled(id));
    if (owed <= total) return;
    const units = `${owed - total} of the token's smallest units`;
    throw new RefusedError(`workers are still owed ${units} that no settlement has`, {
      hint:
        "Settle first (`manyhands pay settle`; if it says that there is nothing to settle, pay " +
        "in more with `manyhands pay fund`), or leave them unpaid with --anyway.",
    });
  }

  async #own(): Promise<{ readonly id: number; readonly run: OnChainRun }> {
    const { contracts, journal, sender } = this.#options;
    const id = onChainRunIdOf(journal);
    await sender.resume(checkCreated(id));
    if (id === null) {
      throw new RefusedError("the run is not on its chain yet", {
        hint: "`manyhands pay fund` makes it there.",
      });
    }
    const run = await contracts.run(id);
    const { address } = sender.account;
    if (run.owner.toLowerCase() === address.toLowerCase()) return { id, run };
    throw new RefusedError(`only the run's owner may do that: ${run.owner}, not ${address}`, {
      hint: "Give --key the file that `manyhands pay fund` made the run with.",
    });
  }
}
