// Many runs in one process: those of a folder, and those that its owner creates in the page. Each
// is measured and exported when it ends. Not one run with its view: run/host-run.ts.
import { existsSync } from "node:fs";
import { ManyhandsError, messageOf } from "@manyhands/base/errors";
import { err, ok, type Result } from "@manyhands/base/result";
import {
  type Host,
  type HostedCoordinator,
  type HostOptions,
  startHost,
} from "@manyhands/coordinator/serve";
import type { CreatedRun, NewRun } from "@manyhands/coordinator/server/owner-routes";
import type { SettlingBeside } from "../onchain/settle-beside.ts";
import { type ChainFlags, onChain } from "../pay/chain-flags.ts";
import { finaliseRun } from "../run/finalise.ts";
import { joinUrls } from "../run/messages.ts";
import { runPaths } from "../run/run-folder.ts";
import { type PreparedRun, prepareRun } from "../run-file/freeze.ts";
import { loadRunFile } from "../run-file/load-run-file.ts";
import { type RunsFolder, runFolderIn } from "./runs-folder.ts";

/** More are nobody's by hand. */
const RUNS_MAX = 64;

export type HostRunsOptions = Omit<HostOptions, "maker"> & {
  readonly runs: RunsFolder;
  readonly say: (text: string) => void;
  /** Aborted when the person wants to end. */
  readonly stop: AbortSignal;
  /** Settle the runs that pay, each on its chain; null: not from here. */
  readonly chain: ChainFlags | null;
};

type Held = {
  /** Of the host, not of the coordinator. */
  readonly folder: string;
  readonly prepared: PreparedRun;
  readonly coordinator: HostedCoordinator;
  readonly settling: SettlingBeside | null;
};

/** Read, and its chain reached, before it is served. */
type Found = Pick<Held, "folder" | "prepared" | "settling">;

export class HostedRuns {
  readonly #options: HostRunsOptions;
  readonly #held: Held[] = [];
  #host: Host | null = null;
  /** One run is measured and exported after the other: both take memory and time. */
  #finishing: Promise<void> = Promise.resolve();

  private constructor(options: HostRunsOptions) {
    this.#options = options;
  }

  /** @throws as startHost, and InputError for a run file that was damaged */
  static async open(options: HostRunsOptions): Promise<HostedRuns> {
    const hosted = new HostedRuns(options);
    const found: Found[] = [];
    for (const folder of options.runs.runs()) found.push(await hosted.#find(folder));
    const maker = {
      token: options.runs.token,
      make: (choices: NewRun, data: Uint8Array) => hosted.#make(choices, data),
    };
    const host = await startHost({ ...options, maker }, found.map(openingOf(options.say)));
    hosted.#host = host;
    for (const [index, one] of found.entries()) {
      const coordinator = host.runs[index];
      if (coordinator) hosted.#hold({ ...one, coordinator });
    }
    return hosted;
  }

  get url(): string {
    return this.#host?.url ?? "";
  }

  get secureUrl(): string | null {
    return this.#host?.secureUrl ?? null;
  }

  /** What is being trained, or was. */
  get coordinators(): readonly HostedCoordinator[] {
    return this.#held.map(({ coordinator }) => coordinator);
  }

  async close(): Promise<void> {
    await this.#finishing;
    for (const { settling } of this.#held) await settling?.close();
    await this.#host?.close();
  }

  /** @throws InputError for a run file that was damaged; ChainError for a chain that is another */
  async #find(folder: string): Promise<Found> {
    const { chain } = this.#options;
    const prepared = await read(folder);
    if (!chain || !prepared.run.pay) return { folder, prepared, settling: null };
    const { settleBeside } = await onChain(() => import("../onchain/settle-beside.ts"));
    const settling = await settleBeside(prepared.run, runFolderIn(folder), chain);
    return { folder, prepared, settling };
  }

  async #make(choices: NewRun, data: Uint8Array): Promise<Result<CreatedRun, string>> {
    const { runs, say } = this.#options;
    if (!this.#host) return err("the host is not open yet");
    if (this.#held.length >= RUNS_MAX) return err(`this host has ${RUNS_MAX} runs already`);
    const folder = runs.write(choices, data);
    try {
      const found = await this.#find(folder);
      const coordinator = this.#host.open(openingOf(say)(found));
      this.#hold({ ...found, coordinator });
      say(`New run: ${coordinator.status().name}, in ${folder}`);
      const { runId, ownerToken } = coordinator;
      const [joinUrl = coordinator.joinUrl] = joinUrls(
        coordinator.joinUrl,
        new URL(coordinator.url).hostname,
      );
      return ok({ runId, joinUrl, ownerToken });
    } catch (caught) {
      runs.remove(folder);
      if (!(caught instanceof ManyhandsError)) throw caught;
      return err(caught.message.replaceAll(folder, "the run"));
    }
  }

  #hold(held: Held): void {
    this.#held.push(held);
    const { coordinator, settling } = held;
    const { name } = coordinator.status();
    settling?.start({
      say: (text) => this.#options.say(`${name}: ${text}`),
      roundsClosed: () => coordinator.state().roundsClosed,
    });
    void coordinator.finished.then(() => {
      this.#finishing = this.#finishing.then(() => this.#finish(held));
      // Attestors take their time: the next run is measured and exported meanwhile.
      void this.#finishing.then(() => settling?.finish(this.#options.stop));
    });
  }

  async #finish({ folder, prepared, coordinator }: Held): Promise<void> {
    const { say, stop } = this.#options;
    const runFolder = runFolderIn(folder);
    const { name } = coordinator.status();
    if (stop.aborted || existsSync(runPaths(runFolder).summary)) return;
    try {
      const result = await finaliseRun(
        {
          folder: runFolder,
          run: coordinator.state().run,
          status: coordinator.status(),
          points: coordinator.history().points,
          weights: coordinator.weights(),
          files: prepared.files,
          license: prepared.license,
          dataParallelBatch: prepared.dataParallelBatch,
          tuned: prepared.tuned,
        },
        { progress: () => undefined, stop },
      );
      if (!result) return;
      const loss = result.summary.valLoss?.toFixed(3) ?? "–";
      say(`${name} is trained: loss ${loss}; its model is in ${runPaths(runFolder).exportFolder}`);
    } catch (caught) {
      say(`${name} could not be exported: ${messageOf(caught)}. The next start tries again.`);
    }
  }
}

async function read(folder: string): Promise<PreparedRun> {
  return prepareRun(await loadRunFile(folder));
}

function openingOf(say: (text: string) => void) {
  return ({ folder, prepared, settling }: Found) => {
    const { run, initialWeights: weights, files } = prepared;
    return {
      runFolder: runFolderIn(folder),
      create: { run, weights, files },
      settlements: settling?.desk,
      onFailure: (error: unknown) => say(`${run.name} has stopped itself: ${messageOf(error)}`),
    };
  };
}
