// One worker's state for a person: a line that is overwritten on a terminal, a line per change on a
// pipe.
import type { WorkerStatus } from "@manyhands/worker/node/start-worker";
import { bytesText, countText, groupedText, lossText } from "../terminal/format.ts";
import type { Io } from "../terminal/io.ts";
import { progressBar } from "../terminal/sparkline.ts";
import { LiveScreen } from "./live-screen.ts";

const BAR_CELLS = 10;

export class StatusLine {
  readonly #io: Io;
  readonly #screen: LiveScreen | null;
  #lastNews = "";

  constructor(io: Io) {
    this.#io = io;
    this.#screen = io.stdout.isTTY ? new LiveScreen(io.stdout) : null;
  }

  show(status: WorkerStatus): void {
    const text = statusText(status);
    if (this.#screen) {
      this.#screen.draw([text.slice(0, this.#screen.width)]);
      return;
    }
    // On a pipe only what is news: a connection, an accepted update, a refusal.
    const { connected, acceptedUpdates, lastReject } = status;
    const news = `${connected} ${acceptedUpdates} ${lastReject?.code}`;
    if (news !== this.#lastNews) this.#io.stdout.write(`${text}\n`);
    this.#lastNews = news;
  }

  /** A line that stays. */
  say(text: string): void {
    if (this.#screen) this.#screen.printAbove(text);
    else this.#io.stdout.write(`${text}\n`);
  }

  close(): void {
    this.#screen?.close();
  }
}

/** `training round 12  ━━━━──────  loss 2.113  3 580 tokens/s  215k tokens given  8.1 MB up …` */
function statusText(status: WorkerStatus): string {
  const isTraining = status.doing === "training" && status.innerSteps > 0;
  const parts = [
    status.phase,
    isTraining ? progressBar(status.innerStep / status.innerSteps, BAR_CELLS) : "",
    status.loss === null ? "" : `loss ${lossText(status.loss)}`,
    status.tokensPerSecond > 0 ? `${groupedText(status.tokensPerSecond)} tokens/s` : "",
    `${countText(status.tokensGiven)} tokens given`,
    `${bytesText(status.bytesUp)} up, ${bytesText(status.bytesDown)} down`,
  ];
  return parts.filter((part) => part !== "").join("  ");
}
