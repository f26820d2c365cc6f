// A full training step, in turns with other engines: npm run bench:engine
//   -- [--quick] [--json FILE] [--models small,big] [--shapes llama,gpt2] [--threads 1,2]
//      [--sections train,muon,generate] [--write]
// --write keeps the tables in bench/results/engine.{json,md}.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Absence, compare, type Measured } from "./compare.ts";
import { ENGINES, install } from "./engines.ts";
import { compareGeneration, type GenerationRow, generationTable } from "./generation.ts";
import { MODELS } from "./models.ts";
import { compareMuon, type MuonRow, muonTable } from "./muon.ts";
import { engineTable, type Row, rowsOf } from "./report.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    models: { type: "string", default: "small,big" },
    shapes: { type: "string", default: "llama,gpt2" },
    threads: { type: "string", default: "1,2" },
    engines: { type: "string" },
    turns: { type: "string" },
    sections: { type: "string", default: "train,muon,generate" },
    write: { type: "boolean", default: false },
  },
});

const say = (line: string): void => void process.stderr.write(`${line}\n`);
const folder = await mkdtemp(join(tmpdir(), "manyhands-bench-engine-"));
const turns = Number(values.turns ?? (values.quick ? 3 : 5));
const gibibytes = Math.round(totalmem() / 2 ** 30);
const sections = new Set(values.sections.split(","));

try {
  install(say);
  const report = {
    command: `npm run bench:engine -- ${process.argv.slice(2).join(" ")}`.trim(),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${gibibytes} GiB`,
    date: new Date().toISOString().slice(0, 10),
    ...(sections.has("train") && (await trainSection())),
    ...(sections.has("muon") && { muon: await muonSection() }),
    ...(sections.has("generate") && { generation: await generationSection() }),
  };
  const text = `${markdown(report)}\n`;
  process.stdout.write(text);
  if (values.json) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
  if (values.write) {
    await writeFile("bench/results/engine.json", `${JSON.stringify(report, null, 2)}\n`);
    await writeFile("bench/results/engine.md", text);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function muonSection(): Promise<readonly MuonRow[]> {
  const model = MODELS[0];
  if (!model) return [];
  say(`Muon beside AdamW, ${model.name} ${model.shape}`);
  const [steps, largeSteps] = values.quick ? [20, 2] : [120, 6];
  const threads = Math.min(2, cpus().length);
  return compareMuon({ model, threads, steps, largeSteps });
}

async function generationSection(): Promise<readonly GenerationRow[]> {
  const rows: GenerationRow[] = [];
  for (const threads of values.threads.split(",").map(Number)) {
    for (const model of MODELS.filter(({ name }) => values.models.split(",").includes(name))) {
      say(`generation, ${model.name}, ${threads} thread(s)`);
      rows.push(...(await compareGeneration(model, threads, { turns, folder })));
    }
  }
  return rows;
}

type TrainSection = {
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
  readonly absent: readonly Absence[];
};

async function trainSection(): Promise<TrainSection> {
  const rows: Row[] = [];
  const absent: Absence[] = [];
  const measured: Measured[] = [];
  const wanted = values.engines?.split(",");
  const engines = ENGINES.filter(({ name }) => wanted?.includes(name) ?? true)
    // Compiling takes a minute per model: --quick leaves it out.
    .filter(({ name }) => !values.quick || name !== "torch.compile");
  for (const threads of values.threads.split(",").map(Number)) {
    for (const model of MODELS) {
      if (!values.models.split(",").includes(model.name)) continue;
      if (!values.shapes.split(",").includes(model.shape)) continue;
      say(`${model.name} ${model.shape}, ${threads} thread(s), ${turns} turns`);
      const result = await compare(engines, { model, threads, turns, folder });
      rows.push(...rowsOf(result.rows));
      measured.push(...result.rows);
      for (const lack of result.absent) say(`  without ${lack.engine}: ${lack.reason}`);
      absent.push(...result.absent);
      for (const row of rowsOf(result.rows)) {
        say(`  ${row.engine}: ${row.tokensPerSecond} tokens/s, ${row.ratioToPyTorch} × PyTorch`);
      }
    }
  }
  const versions = Object.fromEntries(measured.map(({ engine, version }) => [engine, version]));
  return { versions, rows, absent };
}

function markdown(report: {
  readonly command: string;
  readonly machine: string;
  readonly date: string;
  readonly rows?: readonly Row[];
  readonly versions?: Readonly<Record<string, string>>;
  readonly muon?: readonly MuonRow[];
  readonly generation?: readonly GenerationRow[];
}): string {
  const versions = Object.entries(report.versions ?? {}).map(([name, is]) => `${name} ${is}`);
  return [
    "# Engines on one machine",
    "",
    `\`${report.command}\` on ${report.machine}, ${report.date}. ${versions.join(", ")}.`,
    "",
    "A full step each: forward, backward, clipping at norm 1, AdamW; same weights and batches.",
    "Medians of turns in one go. PyTorch's row is the better of plain and fused attention.",
    "",
    engineTable(report.rows ?? []),
    "",
    "## Muon over AdamW",
    "",
    "small llama, 2 threads. Bound: (3.3 m + 1.7 m²/n) / T for T tokens a step.",
    "The loss is the mean of the last tenth of the steps.",
    "",
    muonTable(report.muon ?? []),
    "",
    "## Generation",
    "",
    "Greedy, with cached keys and values, from one exported folder; the prompt is included.",
    "",
    generationTable(report.generation ?? []),
  ].join("\n");
}
