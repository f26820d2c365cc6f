// A fine-tuning run from its flags to its result: begun, gone on with, interrupted or finished.
import { InputError } from "@manyhands/base/errors";
import { type FolderLock, lockFolder } from "@manyhands/worker/node/folder-lock";
import { EXIT_INTERRUPTED, EXIT_OK } from "../exit-codes.ts";
import { tellBadLines } from "../terminal/bad-lines.ts";
import { bytesText, countText, lossText } from "../terminal/format.ts";
import { aborted, type Interrupts, watchInterrupts } from "../terminal/interrupts.ts";
import { type Io, print, printJson, remark } from "../terminal/io.ts";
import { watchKeys } from "../terminal/keys.ts";
import { type Checkpoint, readCheckpoint, writeCheckpoint } from "./checkpoint-file.ts";
import { dryRun, FIT_HINT } from "./dry-run.ts";
import { type FinetuneFlags, keptFlags, mergedFlags, movedFlags } from "./flags.ts";
import { memoryLimit, memoryNeed } from "./memory.ts";
import { type OpenedTuner, openTuner } from "./open-tuner.ts";
import { Pause } from "./pause.ts";
import { type Prepared, prepare } from "./prepare.ts";
import { FinetuneProgress } from "./progress.ts";
import { recipeDifferences, recipeHash } from "./recipe.ts";
import { writeResult } from "./result.ts";
import {
  type FinetunePaths,
  finetunePaths,
  readStoredRun,
  removeRun,
  type StoredRun,
  textAt,
  writeStoredRun,
} from "./run-files.ts";
import type { FinetuneSummary } from "./summary.ts";
import { EMPTY_HISTORY, type TrainingEnd, train } from "./training.ts";

const DIFFERENCES_SHOWN = 6;
/** Evaluations and checkpoints of a run, if nothing is said. */
const EVALUATIONS = 10;
const CHECKPOINTS = 20;

/** @returns the exit code */
export async function runFinetune(flags: FinetuneFlags, io: Io): Promise<number> {
  const paths = finetunePaths(flags.out ?? defaultFolder(flags));
  const stored = await storedRun(paths, flags);
  const merged = mergedFlags(stored?.flags ?? {}, flags);
  const json = flags.json === true;
  if (stored && (await textAt(paths.summary)) !== undefined) {
    return await tellFinished({ paths, stored, flags, io });
  }
  const prepared = await prepare(merged, io);
  const interrupts = watchInterrupts();
  let lock: FolderLock | undefined;
  try {
    checkSame(paths, stored, prepared);
    const { badLines, badLineCount: count } = prepared.data.facts;
    tellBadLines({ badLines, count, strict: "--strict" }, io);
    if (flags.dryRun === true) {
      const { memory } = flags;
      await dryRun({ prepared, paths, memory, json, stop: interrupts.polite, io });
      return EXIT_OK;
    }
    checkFits(prepared, flags.memory);
    lock = lockFolder(paths.folder);
    const { recipe } = prepared;
    const { microBatch, threads } = recipe;
    const kept = keptFlags(merged, { microBatch, threads });
    await writeStoredRun(paths, { flags: kept, workingFolder: process.cwd(), recipe });
    return await new Run({ flags: merged, json, prepared, paths, interrupts, io }).toEnd();
  } finally {
    lock?.release();
    interrupts.release();
    await prepared.files.close();
  }
}

function defaultFolder({ model, method = "lora" }: FinetuneFlags): string {
  const name = (model ?? "")
    .replace(/@.*$/, "")
    .split(/[/\\:]/)
    .filter(Boolean)
    .at(-1);
  if (name !== undefined && name !== "." && name !== "..") return `finetuned/${name}-${method}`;
  throw new InputError("finetune needs --model <folder or hf:org/name>", {
    hint: "or --resume with the --out of a run that was begun",
  });
}

async function storedRun(
  paths: FinetunePaths,
  flags: FinetuneFlags,
): Promise<StoredRun | undefined> {
  if (flags.restart === true && flags.dryRun !== true) {
    await removeRun(paths);
    return undefined;
  }
  const stored = await readStoredRun(paths);
  if (stored) {
    const { workingFolder } = stored;
    return { ...stored, flags: movedFlags(stored.flags, workingFolder, process.cwd()) };
  }
  if (flags.resume !== true) return undefined;
  throw new InputError(`there is no run to resume in ${paths.folder}`, {
    hint: "leave out --resume to begin one",
  });
}

function checkSame(
  paths: FinetunePaths,
  stored: StoredRun | undefined,
  { recipe }: Prepared,
): void {
  const differences = stored ? recipeDifferences(stored.recipe, recipe) : [];
  if (differences.length === 0) return;
  const shown = differences.slice(0, DIFFERENCES_SHOWN).join("; ");
  throw new InputError(`${paths.folder} was begun with another recipe: ${shown}`, {
    hint: "choose another --out, give the flags that it was begun with, or --restart",
  });
}

function checkFits({ recipe, config }: Prepared, memory: number | undefined): void {
  const need = memoryNeed({ ...recipe, config }, recipe.microBatch).totalBytes;
  const limit = memoryLimit(memory);
  if (need <= limit) return;
  const sentence = `this needs ${bytesText(need)} of memory, and ${bytesText(limit)} may be used`;
  throw new InputError(sentence, { hint: FIT_HINT });
}

async function tellFinished(options: {
  readonly paths: FinetunePaths;
  readonly stored: StoredRun;
  readonly flags: FinetuneFlags;
  readonly io: Io;
}): Promise<number> {
  const { paths, stored, flags, io } = options;
  const prepared = await prepare(mergedFlags(stored.flags, flags), io);
  await prepared.files.close();
  checkSame(paths, stored, prepared);
  const summary: FinetuneSummary = JSON.parse((await textAt(paths.summary)) ?? "{}");
  remark(io, `This run is finished in ${paths.folder}. --restart begins it anew.`);
  announce(summary, { paths, json: flags.json === true, io });
  return EXIT_OK;
}

type RunOptions = {
  readonly flags: FinetuneFlags;
  readonly json: boolean;
  readonly prepared: Prepared;
  readonly paths: FinetunePaths;
  readonly interrupts: Interrupts;
  readonly io: Io;
};

/** One sitting of a run. */
class Run {
  readonly #options: RunOptions;
  readonly #progress: FinetuneProgress;
  readonly #pause = new Pause();

  constructor(options: RunOptions) {
    this.#options = options;
    this.#progress = new FinetuneProgress(options.io, options.prepared.recipe, options.json);
  }

  async toEnd(): Promise<number> {
    const { interrupts, io, json } = this.#options;
    const release = this.#watch();
    const forced = aborted(interrupts.forced).then((): "forced" => "forced");
    const work = this.#work();
    // After a second Ctrl-C nobody waits for what the step in progress says.
    work.catch(() => undefined);
    try {
      const end = await Promise.race([work, forced]);
      this.#progress.close();
      if (end === "forced") {
        release();
        // The step in progress cannot be interrupted; a checkpoint that is half written is no loss.
        process.exit(EXIT_INTERRUPTED);
      }
      if (end.summary) {
        announce(end.summary, { paths: this.#options.paths, json, io });
        return EXIT_OK;
      }
      this.#tellStopped(end.step);
      return EXIT_INTERRUPTED;
    } finally {
      this.#progress.close();
      release();
    }
  }

  #watch(): () => void {
    const { io, interrupts, json } = this.#options;
    const toggle = (): void => {
      this.#pause.toggle();
      this.#progress.paused(this.#pause.isPaused);
    };
    const keys = json || !io.stdout.isTTY ? undefined : io.stdin;
    const releaseKeys = watchKeys(keys, (key) => {
      if (key === "p" || key === "P") toggle();
    });
    process.on("SIGUSR2", toggle);
    void aborted(interrupts.polite).then(() => {
      this.#progress.say("Saving after this step. Ctrl-C again leaves at once.");
      this.#pause.end();
    });
    return () => {
      releaseKeys();
      process.off("SIGUSR2", toggle);
      this.#pause.end();
    };
  }

  async #work(): Promise<{ readonly summary?: FinetuneSummary; readonly step: number }> {
    const { prepared, paths } = this.#options;
    const checkpoint = await this.#checkpoint();
    const opened = await this.#open();
    const { tuner } = opened;
    try {
      this.#tellStart(opened, checkpoint);
      if (checkpoint) tuner.restore(checkpoint.state);
      const { finished, history } = await this.#train(opened, checkpoint);
      const step = tuner.stepsTaken;
      if (!finished) return { step };
      return { summary: await writeResult({ prepared, tuner, history, paths }), step };
    } finally {
      await tuner.close();
    }
  }

  async #checkpoint(): Promise<Checkpoint | undefined> {
    const { paths, prepared } = this.#options;
    const found = await readCheckpoint(paths.checkpoint);
    if (!found || found.recipeHash === recipeHash(prepared.recipe)) return found;
    throw new InputError(`${paths.checkpoint} belongs to another recipe`, {
      hint: "choose another --out, or begin anew with --restart",
    });
  }

  async #open(): Promise<OpenedTuner> {
    const { prepared, interrupts, io, json } = this.#options;
    let shown = -1;
    const onProgress = (share: number): void => {
      const percent = Math.floor(share * 10) * 10;
      if (percent > shown && !json && io.stderr.isTTY) {
        io.stderr.write(`\rreading the model as ${prepared.recipe.base}: ${percent} %\u001b[K`);
      }
      shown = Math.max(shown, percent);
    };
    const { environment } = io;
    const signal = interrupts.polite;
    const opened = await openTuner(prepared, { environment, onProgress, signal });
    if (shown >= 0 && !json && io.stderr.isTTY) io.stderr.write("\r\u001b[K");
    return opened;
  }

  #tellStart({ tuner, stored }: OpenedTuner, checkpoint: Checkpoint | undefined): void {
    const { prepared } = this.#options;
    const { facts } = prepared.data;
    const trained = `${countText(tuner.weights.length)} numbers are trained`;
    const error = stored ? `, error ${(stored.relativeError * 100).toFixed(2)} %` : "";
    const kept = stored
      ? `the base is kept in ${stored.kind} (${bytesText(stored.bytes)}${error})`
      : "";
    this.#progress.say([trained, kept].filter((part) => part !== "").join("; "));
    const held = `${countText(facts.validationTokens)} held out`;
    this.#progress.say(`${countText(facts.tokens)} tokens to train on, ${held}`);
    if (checkpoint) this.#progress.say(`going on after step ${checkpoint.state.step}`);
  }

  #train({ tuner }: OpenedTuner, checkpoint: Checkpoint | undefined): Promise<TrainingEnd> {
    const { prepared, paths, interrupts, flags } = this.#options;
    const { recipe, data } = prepared;
    const every = (count: number): number => Math.max(1, Math.floor(recipe.steps / count));
    return train({
      ...{ recipe, tuner, data },
      history: checkpoint?.history ?? EMPTY_HISTORY,
      evalEvery: flags.evalEvery ?? every(EVALUATIONS),
      saveEvery: flags.saveEvery ?? every(CHECKPOINTS),
      stop: interrupts.polite,
      hooks: {
        onStep: (report) => this.#progress.step(report),
        onValidation: (point) => this.#progress.validation(point),
        save: async (state, history) => {
          const hash = recipeHash(recipe);
          await writeCheckpoint(paths.checkpoint, { recipeHash: hash, state, history });
          this.#progress.saved(state.step);
        },
        resumed: () => this.#pause.over(),
        isPaused: () => this.#pause.isPaused,
        now: () => performance.now(),
      },
    });
  }

  #tellStopped(step: number): void {
    const { paths, prepared, json, io } = this.#options;
    const { steps } = prepared.recipe;
    if (json) {
      printJson(io, { type: "stopped", step, steps });
      return;
    }
    print(io, `Stopped after step ${step} of ${steps}; the state is in ${paths.checkpoint}.`);
    print(io, `manyhands finetune --resume --out ${paths.folder} goes on.`);
  }
}

function announce(
  summary: FinetuneSummary,
  { paths, json, io }: { readonly paths: FinetunePaths; readonly json: boolean; readonly io: Io },
): void {
  if (json) {
    printJson(io, { type: "end", ...summary });
    return;
  }
  const { baseValidationLoss: before, validationLoss: after } = summary;
  if (before !== null && after !== null) {
    const change = `${((after / before - 1) * 100).toFixed(1)} %`;
    print(io, `validation loss ${lossText(before)} → ${lossText(after)} (${change})`);
  }
  print(io, `${summary.method === "lora" ? "adapter" : "model"}: ${summary.result}`);
  print(io, `report:  ${paths.report}`);
}
