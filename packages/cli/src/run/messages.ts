// What a person reads when a run opens and when it has ended.
import { networkInterfaces } from "node:os";
import {
  bytesText,
  countText,
  durationText,
  groupedText,
  shortId,
  timesText,
} from "../terminal/format.ts";
import { type Io, print, printJson } from "../terminal/io.ts";
import { runPaths } from "./run-folder.ts";
import type { Sample } from "./sample-text.ts";
import type { Summary } from "./summary.ts";

const ANY_ADDRESS = ["0.0.0.0", "::"];

export function announceOpening(
  options: { readonly folder: string; readonly host: string; readonly invites: boolean },
  coordinator: { readonly url: string; readonly joinUrl: string; readonly runId: string },
  say: (text: string) => void,
): void {
  const urls = joinUrls(coordinator.joinUrl, options.host);
  // Not the address that it listens on: nobody can open 0.0.0.0.
  const origin = new URL(urls[0] ?? coordinator.url).origin;
  say(`Run ${shortId(coordinator.runId)} in ${options.folder}, at ${origin}`);
  if (!options.invites) return;
  say("Join in a browser on this machine, or over HTTPS (--lan) on a phone:");
  say(`  ${coordinator.joinUrl.replace("//0.0.0.0", "//localhost")}`);
  say("Join from any machine with Node 20 or newer:");
  for (const url of urls) say(`  npx ${new URL(url).origin}/manyhands.tgz join '${url}'`);
  say("Who has such a line may join the run: give it only to people you want in it.");
}

/** A coordinator that listens everywhere is joined at this machine's own addresses. */
export function joinUrls(
  joinUrl: string,
  host: string,
  addresses: readonly string[] = ownAddresses(),
): string[] {
  if (!ANY_ADDRESS.includes(host) || addresses.length === 0) return [joinUrl];
  return addresses.map((address) => {
    const url = new URL(joinUrl);
    url.hostname = address;
    return url.href;
  });
}

/** IPv4 addresses of this machine in its networks. */
export function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === "IPv4" && !internal)
    .map(({ address }) => address);
}

export type ResultFacts = {
  readonly summary: Summary;
  readonly sample: Sample | null;
  readonly folder: string;
  readonly json: boolean;
};

export function announceResult(io: Io, facts: ResultFacts): void {
  if (facts.json) printJson(io, facts.summary);
  else print(io, resultText(io, facts));
}

/** An adapter is of use beside its base, or merged into it. */
function useText({ trained }: Summary, folder: string): string {
  return trained === "adapter"
    ? `merge <its base> --adapter ${folder} --out merged`
    : `sample ${folder} --prompt "ROMEO:"`;
}

function resultText(io: Io, { summary, sample, folder }: ResultFacts): string {
  const { paint } = io;
  const paths = runPaths(folder);
  const ours = summary.bytesUp + summary.bytesDown;
  const saving = summary.bytesDataParallelFp32 / Math.max(1, ours);
  const contributors = summary.workers.filter((worker) => worker.updates > 0).length;
  const unit = summary.unit ?? "byte";
  const rows: readonly (readonly [string, string])[] = [
    ["loss", `${summary.valLoss?.toFixed(3) ?? "–"} nats per ${unit} on all validation data`],
    [
      "trained",
      `${countText(summary.tokens)} tokens in ${groupedText(summary.rounds)} rounds by ` +
        `${contributors === 1 ? "one worker" : `${contributors} workers`}, ` +
        `${durationText(summary.trainingSeconds * 1_000)}, ` +
        `${groupedText(summary.tokensPerSecond)} tokens/s`,
    ],
    [
      "traffic",
      `${bytesText(summary.bytesUp)} up, ${bytesText(summary.bytesDown)} down: ` +
        `${timesText(saving)} less than data-parallel fp32`,
    ],
    [summary.trained ?? "model", paths.exportFolder],
    ["report", paths.report],
    ["summary", paths.summary],
    ["check it", `npx manyhands verify ${folder}`],
    ["use it", `npx manyhands ${useText(summary, paths.exportFolder)}`],
  ];
  const lines = rows.map(([name, value]) => `${paint.dim(name.padEnd(9))}${value}`);
  const text = sample ? [`${paint.bold(sample.prompt)}${sample.text}`, ""] : [];
  return [...text, paint.green(`${summary.name} is trained.`), ...lines].join("\n");
}
