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
};

type Held = {
  /** Of the host, not of the coordinator. */
  readonly folder: string;
  readonly prepared: PreparedRun;
  readonly coordinator: HostedCoordinator;
};

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
    const found: { readonly folder: string; readonly prepared: PreparedRun }[] = [];
    for (const folder of options.runs.runs()) found.push({ folder, prepared: await read(folder) });
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
    await this.#host?.close();
  }

  async #make(choices: NewRun, data: Uint8Array): Promise<Result<CreatedRun, string>> {
    const { runs, say } = this.#options;
    if (!this.#host) return err("the host is not open yet");
    if (this.#held.length >= RUNS_MAX) return err(`this host has ${RUNS_MAX} runs already`);
    const folder = runs.write(choices, data);
    try {
      const prepared = await read(folder);
      const coordinator = this.#host.open(openingOf(say)({ folder, prepared }));
      this.#hold({ folder, prepared, coordinator });
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
    void held.coordinator.finished.then(() => {
      this.#finishing = this.#finishing.then(() => this.#finish(held));
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
  return ({ folder, prepared }: { folder: string; prepared: PreparedRun }) => {
    const { run, initialWeights: weights, files } = prepared;
    return {
      runFolder: runFolderIn(folder),
      create: { run, weights, files },
      onFailure: (error: unknown) => say(`${run.name} has stopped itself: ${messageOf(error)}`),
    };
  };
}
