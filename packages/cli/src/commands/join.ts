// `manyhands join <url>`: this device takes part in a run.
import { availableParallelism, homedir, hostname } from "node:os";
import { join } from "node:path";
import { InputError } from "@manyhands/base/errors";
import type { Payout } from "@manyhands/protocol/keys";
import { NAME_CHARS_MAX } from "@manyhands/protocol/limits";
import type { WorkerEnd } from "@manyhands/worker/core/types";
import { COMPUTE_CHOICES, type ComputeChoice } from "@manyhands/worker/node/choose-compute";
import { FolderInUseError } from "@manyhands/worker/node/errors";
import {
  type RunningWorker,
  startWorker,
  type WorkerStatus,
} from "@manyhands/worker/node/start-worker";
import { type Command, Option } from "commander";
import {
  EXIT_CODES_HELP,
  EXIT_FAILED,
  EXIT_INPUT,
  EXIT_INTERRUPTED,
  EXIT_OK,
} from "../exit-codes.ts";
import { accountFlag, accountHex, accountText, delegationFlag } from "../pay/account.ts";
import type { WorkerLine } from "../run/worker-lines.ts";
import { aborted, type Interrupts, watchInterrupts } from "../terminal/interrupts.ts";
import { type Io, print, printJson, remark } from "../terminal/io.ts";
import { StatusLine } from "../view/status-line.ts";
import { exampleText, jsonOption, memorySize } from "./options.ts";
import type { SetExitCode } from "./set-exit-code.ts";
import { wholeNumber } from "./whole-number.ts";

type JoinFlags = {
  readonly folder?: string;
  readonly name?: string;
  readonly compute: ComputeChoice;
  readonly threads: number;
  readonly memory?: number;
  /** 0x… */
  readonly payTo?: string;
  /** 65 bytes in hex. */
  readonly delegation?: string;
  readonly json?: boolean;
  readonly managed?: boolean;
};

const HELP = `
The address is the one that the run's owner sends: http://host:port/runs/<id>#<token>. The folder
keeps this device's key (its credit belongs to it) and what it needs to go on after a restart.
Ctrl-C finishes the upload in progress and leaves; a second one leaves at once.

Where the run pays, --pay-to names an account of yours: no wallet is asked for, and no gas. Named
later, it is paid from the beginning; another one gets all that was not paid out yet.`;

const FOLDERS_TRIED = 16;
/** The machine belongs to somebody who is using it. */
const HALF = Math.max(1, Math.floor(availableParallelism() / 2));

export function addJoin(program: Command, io: Io, setExitCode: SetExitCode): void {
  program
    .command("join")
    .description("let this device take part in a run")
    .argument("<url>", "the run's join address, with its token")
    .option("--folder <dir>", "where this device's key and state live (default ~/.manyhands)")
    .option("--name <name>", "what people see (default: this machine's name)")
    .addOption(
      new Option("--compute <which>", "the GPU if it is clearly faster, or what you say")
        .choices(COMPUTE_CHOICES)
        .default("auto"),
    )
    .addOption(
      new Option("--threads <n>", "how many of the processor's")
        .argParser(wholeNumber(1, 256))
        .default(HALF, "half of its cores"),
    )
    .option("--memory <size>", "what it may take (default: most of what is free)", memorySize)
    .option(
      "--pay-to <account>",
      "0x…, whom its credit is paid to; the folder keeps it",
      accountFlag,
    )
    .option(
      "--delegation <signature>",
      "0x…, by that account's wallet, for this device (`manyhands pay delegate` makes one)",
      delegationFlag,
    )
    .addOption(jsonOption("status as JSON, one line per change"))
    .addOption(new Option("--managed", "a parent process stops this one").hideHelp())
    .addHelpText("after", HELP)
    .addHelpText(
      "after",
      exampleText(["npx manyhands join 'http://192.168.1.5:7433/runs/3f…#5c…' --threads 4"]),
    )
    .addHelpText("after", EXIT_CODES_HELP)
    .action(async (url: string, flags: JoinFlags) => {
      setExitCode(await joinRun(url, flags, io));
    });
}

async function joinRun(url: string, flags: JoinFlags, io: Io): Promise<number> {
  const interrupts = flags.managed ? watchParent() : watchInterrupts();
  try {
    const show = flags.json ? jsonReporter(io) : lineReporter(io);
    const end = await takePart(url, flags, { io, show, interrupts });
    show.end(end);
    return exitCodeOf(end);
  } finally {
    interrupts.release();
  }
}

type Surroundings = {
  readonly io: Io;
  readonly show: Reporter;
  readonly interrupts: Interrupts;
};

/** Where a GPU was tried of our own accord and cannot do it, the processor does. */
async function takePart(url: string, flags: JoinFlags, around: Surroundings): Promise<WorkerEnd> {
  const { io, show, interrupts } = around;
  const worker = await startInFreeFolder(flags.folder, (folder) =>
    startWorker({
      url,
      folder,
      name: (flags.name ?? hostname()).slice(0, NAME_CHARS_MAX),
      compute: flags.compute,
      threads: flags.threads,
      ...(flags.memory === undefined ? {} : { memoryBytesMax: flags.memory }),
      ...payoutOf(flags),
      onStatus: show.status,
      onNotice: show.notice,
    }),
  );
  const { payTo } = worker.status();
  if (payTo !== null)
    show.notice(`Credit of device ${worker.workerId} is paid to ${accountText(payTo)}.`);
  stopOnInterrupt(worker, interrupts, (text) => {
    if (!flags.json) remark(io, text);
  });
  const end = await worker.ended;
  const isGpuToBlame = end.reason === "compute-failed" || end.reason === "unsupported";
  const wasTried = flags.compute === "auto" && worker.numerics === "ort-webgpu";
  if (!isGpuToBlame || !wasTried || interrupts.polite.aborted) return end;
  show.notice(`${end.sentence} Going on with the processor.`);
  return takePart(url, { ...flags, compute: "cpu" }, around);
}

function payoutOf({ payTo, delegation }: JoinFlags): { readonly payout?: Payout } {
  if (payTo !== undefined) {
    return { payout: { account: accountHex(payTo), delegation: delegation ?? null } };
  }
  if (delegation === undefined) return {};
  throw new InputError("--delegation needs --pay-to, the account that signed it", {
    hint: "So that a signature of something else is not taken for somebody else's account.",
  });
}

/** The folder that was asked for; else the first one that no other worker on this machine uses. */
async function startInFreeFolder(
  asked: string | undefined,
  start: (folder: string) => Promise<RunningWorker>,
): Promise<RunningWorker> {
  if (asked !== undefined) return start(asked);
  const base = join(homedir(), ".manyhands");
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(attempt === 1 ? base : `${base}-${attempt}`);
    } catch (caught) {
      if (!(caught instanceof FolderInUseError) || attempt >= FOLDERS_TRIED) throw caught;
    }
  }
}

function stopOnInterrupt(
  worker: RunningWorker,
  interrupts: Interrupts,
  say: (text: string) => void,
): void {
  void aborted(interrupts.polite).then(() => {
    say("Finishing what is being sent, then leaving. Ctrl-C again leaves at once.");
    worker.stop("graceful");
  });
  void aborted(interrupts.forced).then(() => worker.stop("force"));
}

/**
 * A child of `run`: the terminal's Ctrl-C reaches it too, but its parent decides. It leaves when
 * told, and when the parent is gone.
 */
function watchParent(): Interrupts {
  const polite = new AbortController();
  const ignore = (): void => undefined;
  const leave = (): void => polite.abort();
  process.on("SIGINT", ignore);
  process.on("SIGHUP", ignore);
  process.on("SIGTERM", leave);
  process.on("message", leave);
  process.on("disconnect", leave);
  return {
    polite: polite.signal,
    forced: new AbortController().signal,
    release: () => {
      process.off("message", leave);
      process.off("disconnect", leave);
      if (process.connected) process.disconnect?.();
    },
  };
}

type Reporter = {
  readonly status: (status: WorkerStatus) => void;
  readonly notice: (sentence: string) => void;
  readonly end: (end: WorkerEnd) => void;
};

function jsonReporter(io: Io): Reporter {
  let newest = "";
  return {
    status: (status) => {
      const line: WorkerLine = {
        type: "status",
        sentence: status.phase,
        doing: status.doing,
        workerId: status.workerId,
        connected: status.connected,
        round: status.round,
        innerStep: status.innerStep,
        innerSteps: status.innerSteps,
        loss: status.loss,
        tokensPerSecond: status.tokensPerSecond,
        tokensGiven: status.tokensGiven,
        acceptedUpdates: status.acceptedUpdates,
        bytesUp: status.bytesUp,
        bytesDown: status.bytesDown,
      };
      const text = JSON.stringify(line);
      if (text !== newest) print(io, text);
      newest = text;
    },
    notice: (sentence) => printJson(io, { type: "notice", sentence } satisfies WorkerLine),
    end: ({ reason, sentence, code }) => printJson(io, { type: "end", reason, sentence, code }),
  };
}

function lineReporter(io: Io): Reporter {
  const line = new StatusLine(io);
  return {
    status: (status) => line.show(status),
    notice: (sentence) => line.say(sentence),
    end: ({ sentence }) => {
      line.close();
      print(io, sentence);
    },
  };
}

function exitCodeOf(end: WorkerEnd): number {
  switch (end.reason) {
    case "finished":
    case "run-finished":
      return EXIT_OK;
    case "stopped":
    case "forced":
      return EXIT_INTERRUPTED;
    case "token":
    case "unknown-run":
    case "protocol-mismatch":
    case "kernel-mismatch":
    case "refused":
    case "replaced":
    case "unsupported":
      return EXIT_INPUT;
    case "diverged":
    case "compute-failed":
    case "storage-failed":
      return EXIT_FAILED;
    default:
      return end.reason satisfies never;
  }
}
