// report.html of a fine-tuning run: the losses as a picture, and what it was made of.
// Self-contained, no scripts.
import { type LossCurves, lossChart } from "../report/charts.ts";
import { REPORT_STYLE } from "../report/report-style.ts";
import { escapeText } from "../report/svg.ts";
import { bytesText, clockText, countText, groupedText, lossText } from "../terminal/format.ts";
import type { History } from "./checkpoint-file.ts";
import type { FinetuneSummary } from "./summary.ts";

export type FinetuneReport = {
  readonly summary: FinetuneSummary;
  readonly history: History;
  /** Names and values of the recipe, as a person reads them. */
  readonly recipe: readonly (readonly [string, string])[];
};

const WIDE = { width: 840, height: 340 };
const NARROW = { width: 350, height: 270 };
const UNIT = "nats per token";

export function finetuneReportHtml({ summary, history, recipe }: FinetuneReport): string {
  const title = `${summary.base.name}, fine-tuned`;
  const { validation } = history;
  const last = validation.at(-1);
  const curves: LossCurves = {
    train: history.train,
    validation,
    final: last ? { tokens: last.tokens, loss: last.loss } : null,
  };
  const rows = recipe.map(([name, value]) => `<dt>${name}</dt><dd>${escapeText(value)}</dd>`);
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
<header>
<h1>${escapeText(title)}</h1>
<p class="soft">${countText(summary.trainables)} trained numbers, ${groupedText(summary.steps)}
steps, ${groupedText(summary.tokens)} tokens learnt from.</p>
<div class="numbers">
${number(lossText(summary.validationLoss), `${UNIT} on held-out text`, true)}
${number(lossText(summary.baseValidationLoss), "before the first step")}
${number(lossText(summary.trainingLoss), "on the training data, last steps")}
${number(clockText(summary.trainingSeconds * 1_000), "minutes of training")}
</div>
</header>
<section>
<h2>Loss</h2>
<div class="legend">
<span><i class="line" style="background:var(--accent)"></i>training, step by step</span>
<span><i class="line" style="background:var(--second)"></i>validation</span>
</div>
<figure class="wide">${lossChart(curves, WIDE, UNIT)}</figure>
<figure class="narrow">${lossChart(curves, NARROW, UNIT)}</figure>
</section>
${dataSection(summary)}
<section><h2>Recipe</h2><dl>${rows.join("\n")}</dl></section>
<footer>Written by Manyhands.</footer>
</main>
</body>
</html>
`;
}

function dataSection(summary: FinetuneSummary): string {
  const files = summary.data.map(
    ({ name, lines, bytes, sha256 }) =>
      `<tr><td>${escapeText(name)}</td><td class="number">${groupedText(lines)}</td>
<td class="number">${bytesText(bytes)}</td><td><code>${sha256}</code></td></tr>`,
  );
  return `<section><h2>Data</h2>
<div class="scroll"><table>
<thead><tr><th>file</th><th class="number">lines</th><th class="number">size</th>
<th>SHA-256</th></tr></thead>
<tbody>${files.join("\n")}</tbody>
</table></div>
</section>`;
}

function number(value: string, words: string, isLead = false): string {
  const className = isLead ? ' class="lead"' : "";
  return `<div><b${className}>${escapeText(value)}</b><span>${escapeText(words)}</span></div>`;
}
