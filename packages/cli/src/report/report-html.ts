// report.html: one page that tells a run to a person who was not there. Self-contained, no scripts.
import type { HistoryPoint } from "@manyhands/coordinator/history";
import type { FrozenRun } from "@manyhands/protocol/run-config";
import type { Summary } from "../run/summary.ts";
import {
  bytesText,
  clockText,
  countText,
  groupedText,
  lossText,
  shareText,
  shortId,
  timesText,
} from "../terminal/format.ts";
import { bytesPicture, type LossCurves, lossChart, roundsChart } from "./charts.ts";
import { configSection } from "./report-config.ts";
import { paySection, type ReportAccounts } from "./report-pay.ts";
import { REPORT_STYLE } from "./report-style.ts";
import { escapeText } from "./svg.ts";

export type ReportFacts = {
  readonly summary: Summary;
  readonly run: FrozenRun;
  readonly points: readonly HistoryPoint[];
  readonly sample: { readonly prompt: string; readonly text: string } | null;
  /** Null for a run that pays nothing. */
  readonly accounts: ReportAccounts | null;
  /** The run's folder, as a person would type it. */
  readonly folder: string;
};

const WIDE = { width: 840, height: 340 };
const NARROW = { width: 350, height: 270 };

export function reportHtml(facts: ReportFacts): string {
  const title = `${facts.run.name}: a model by many hands`;
  const sections = [
    header(facts),
    lossSection(facts),
    bytesSection(facts),
    workersSection(facts),
    paySection(facts.run, facts.accounts, facts.folder),
    roundsSection(facts),
    sampleSection(facts),
    verifySection(facts),
    configSection(facts.run),
    footer(facts),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeText(title)}</title>
<style>${REPORT_STYLE}</style>
</head>
<body>
<main>
${sections.join("\n")}
</main>
</body>
</html>
`;
}

function header({ run, summary }: ReportFacts): string {
  const contributors = summary.workers.filter((worker) => worker.updates > 0).length;
  const people = contributors === 1 ? "one worker" : `${contributors} workers`;
  const ratio = summary.bytesDataParallelFp32 / Math.max(1, summary.bytesUp + summary.bytesDown);
  return `<header>
<h1>${escapeText(run.name)}</h1>
<p class="soft">${whatText(summary)} of ${countText(summary.parameters)} parameters, trained
together by ${people} in ${groupedText(summary.rounds)} rounds.
Run <code>${shortId(summary.runId)}</code>.</p>
<div class="numbers">
${number(lossText(summary.valLoss), `${unitText(summary)} on the validation data`, true)}
${number(countText(summary.tokens), "tokens trained on")}
${number(clockText(summary.trainingSeconds * 1_000), "minutes of training")}
${number(groupedText(summary.tokensPerSecond), "tokens per second")}
${number(timesText(ratio), "fewer bytes than data-parallel fp32")}
</div>
</header>`;
}

function whatText({ trained }: Summary): string {
  return trained === "adapter" ? "An adapter of a language model," : "A language model";
}

function unitText({ unit }: Summary): string {
  return `nats per ${unit ?? "byte"}`;
}

function number(value: string, words: string, isLead = false): string {
  const className = isLead ? ' class="lead"' : "";
  return `<div><b${className}>${escapeText(value)}</b><span>${escapeText(words)}</span></div>`;
}

function lossSection({ points, summary }: ReportFacts): string {
  const curves: LossCurves = {
    train: points.flatMap((point) =>
      point.trainLoss === null ? [] : [{ tokens: point.tokens, loss: point.trainLoss }],
    ),
    validation: points.flatMap((point) =>
      point.evaluationLoss === null
        ? []
        : [{ tokens: point.tokensBefore, loss: point.evaluationLoss }],
    ),
    final: summary.valLoss === null ? null : { tokens: summary.tokens, loss: summary.valLoss },
  };
  return `<section>
<h2>Loss</h2>
<div class="legend">
<span><i class="line" style="background:var(--accent)"></i>training, mean of a round</span>
<span><i class="line" style="background:var(--second)"></i>validation, a shared sample</span>
<span><i class="dot" style="background:var(--second)"></i>final weights, all validation data</span>
</div>
${both((size) => lossChart(curves, size, unitText(summary)))}
</section>`;
}

/** The same picture for a wide and for a narrow page; the style sheet shows one. */
function both(draw: (size: { width: number; height: number }) => string): string {
  return `<figure class="wide">${draw(WIDE)}</figure>
<figure class="narrow">${draw(NARROW)}</figure>`;
}

function bytesSection({ summary }: ReportFacts): string {
  const ours = summary.bytesUp + summary.bytesDown;
  const bytes = { ours, dataParallel: summary.bytesDataParallelFp32 };
  const { steps, globalBatchTokens, workers } = summary.dataParallel;
  return `<section>
<h2>Bytes</h2>
<p>This run moved ${bytesText(ours)} (${bytesText(summary.bytesUp)} up,
${bytesText(summary.bytesDown)} down), data and joining included. Plain data-parallel training
would have moved ${bytesText(bytes.dataParallel)}.</p>
<div class="legend">
<span><i style="background:var(--accent)"></i>this run</span>
<span><i style="background:var(--quiet)"></i>data-parallel, in squares of the same size</span>
</div>
${both((size) => bytesPicture(bytes, size.width))}
<p class="note">Data-parallel: 8 bytes × ${groupedText(summary.parameters)} parameters ×
${workers} workers × ${groupedText(steps)} steps of ${groupedText(globalBatchTokens)} tokens
(float32 gradients up, weights down). By ring all-reduce it would be
${bytesText(summary.dataParallel.bytesRingFp32)}.</p>
</section>`;
}

function workersSection({ summary }: ReportFacts): string {
  const most = Math.max(1, ...summary.workers.map((worker) => worker.tokens));
  const rows = summary.workers.map((worker) => {
    const width = ((worker.tokens / most) * 100).toFixed(1);
    const share = shareText(worker.tokens / Math.max(1, summary.tokens));
    return `<tr><td>${escapeText(worker.name)}<br>
<code class="soft">${shortId(worker.id)}</code></td>
<td class="bar"><i style="width:${width}%"></i></td>
<td class="number">${countText(worker.tokens)}</td><td class="number">${share}</td>
<td class="number optional">${groupedText(worker.updates)}</td>
<td class="number optional">${bytesText(worker.bytesUp)}</td>
<td class="number optional">${bytesText(worker.bytesDown)}</td></tr>`;
  });
  return `<section>
<h2>Who gave what</h2>
<div class="scroll"><table>
<thead><tr><th>worker</th><th></th><th class="number">tokens</th><th class="number">share</th>
<th class="number optional">updates</th><th class="number optional">up</th>
<th class="number optional">down</th></tr></thead>
<tbody>${rows.join("\n")}</tbody>
</table></div>
<p class="note">Tokens are credit: the coordinator signed a receipt for every update of theirs.</p>
</section>`;
}

function roundsSection({ points }: ReportFacts): string {
  const bars = points.map((point) => ({
    round: point.round,
    ms: point.closedAt - point.openedAt,
    contributors: point.contributors,
    late: point.late,
  }));
  const late = points.reduce((sum, point) => sum + point.late, 0);
  return `<section>
<h2>Rounds</h2>
<div class="legend">
<span><i style="background:var(--accent);opacity:.75"></i>duration</span>
<span><i class="dot" style="background:var(--late)"></i>with a late update (${late} in all)</span>
</div>
${both((size) => roundsChart(bars, { ...size, height: Math.round(size.height * 0.6) }))}
</section>`;
}

function sampleSection({ sample }: ReportFacts): string {
  if (!sample) return "";
  return `<section>
<h2>What it writes</h2>
<pre class="sample"><b>${escapeText(sample.prompt)}</b>${escapeText(sample.text)}</pre>
</section>`;
}

function verifySection({ folder, summary }: ReportFacts): string {
  return `<section>
<h2>Check it yourself</h2>
<p>The run's folder holds its signed log and every byte that the log names. The first command
replays all of it and compares every state root; the second writes the model anew; the third asks it
for text.</p>
<pre>npx manyhands verify ${escapeText(folder)}
npx manyhands export ${escapeText(folder)} my-model
npx manyhands sample my-model --prompt "ROMEO:"</pre>
<p class="note">Run id <code>${escapeText(summary.runId)}</code>: the SHA-256 of the configuration,
the data, the first weights and the protocol.</p>
</section>`;
}

function footer({ summary }: ReportFacts): string {
  const reason = summary.finishReason ?? "not yet";
  return `<footer>Written by Manyhands. The run ended by: ${escapeText(reason)}.</footer>`;
}
