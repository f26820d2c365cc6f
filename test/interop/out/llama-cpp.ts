// GGUF files in the real llama.cpp: the loss on the same tokens is ours, the tokens of texts are
// the tokenizer's own.
import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HOSTILE_TEXTS } from "../hostile.ts";
import type { GgufFile } from "./gguf.ts";
import type { Check, Tuned } from "./tuned.ts";

/** How far perplexities may be apart, as a share. Q4_0 is reported, within what 4 bits lose. */
const PERPLEXITY_MAX = { f32: 0.005, f16: 0.005, q8_0: 0.01, q4_0: 0.05 } as const;

type Answer =
  | { readonly error: string }
  | {
      readonly error?: undefined;
      readonly logProbabilities: readonly (readonly number[])[];
      readonly tokens: readonly (readonly number[])[];
      /** With what is put before every text. */
      readonly whole: readonly number[];
    };

export function judgeLlamaCpp(
  models: readonly Tuned[],
  files: readonly GgufFile[],
  { llama, work }: { readonly llama: string; readonly work: string },
): readonly Check[] {
  const jobs = files.map(({ file, model }) => {
    return { file, windows: model.windows, texts: HOSTILE_TEXTS, whole: "Hello, world" };
  });
  const [jobsPath, answersPath] = [join(work, "jobs.json"), join(work, "answers.json")];
  writeFileSync(jobsPath, JSON.stringify(jobs));
  // Where the binding is installed: a module finds its packages from where it lies.
  const script = join(llama, "evaluate.js");
  copyFileSync(join(import.meta.dirname, "llama", "evaluate.js"), script);
  const run = spawnSync(process.execPath, [script, jobsPath, answersPath], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  const ended = { name: "llama.cpp ran to its end", ok: run.status === 0 && models.length > 0 };
  if (run.status !== 0) return [{ ...ended, detail: `exit ${run.status}` }];
  const answers = JSON.parse(readFileSync(answersPath, "utf8")) as readonly Answer[];
  return [
    { ...ended, detail: `${answers.length} files` },
    ...files.flatMap((file, index) => checksOf(file, answers[index] ?? { error: "no answer" })),
  ];
}

function checksOf(file: GgufFile, answer: Answer): readonly Check[] {
  const what = `${file.model.name}: llama.cpp, ${file.type}${file.adapted ? ", adapted" : ""}`;
  if (answer.error !== undefined) return [{ name: what, ok: false, detail: answer.error }];
  const all = answer.logProbabilities.flat();
  const loss = -all.reduce((sum, x) => sum + x, 0) / all.length;
  const share = Math.exp(loss - file.loss) - 1;
  const percent = `${(100 * share).toFixed(3)} %`;
  const detail = `perplexity ${Math.exp(loss).toFixed(3)}, ours ${Math.exp(file.loss).toFixed(3)}`;
  const perplexity = {
    name: `${what}: perplexity`,
    ok: Math.abs(share) <= PERPLEXITY_MAX[file.type],
    detail: `${detail} (${percent}) on ${all.length} tokens`,
  };
  if (file.type !== "f32" || file.adapted) return [perplexity];
  return [perplexity, tokenCheck(what, file.model, answer)];
}

function tokenCheck(
  what: string,
  { texts, whole }: Tuned,
  { tokens, whole: theirs }: Extract<Answer, { error?: undefined }>,
): Check {
  const other = HOSTILE_TEXTS.filter((_, i) => tokens[i]?.join() !== texts[i]?.join());
  const begins = theirs.join() === whole.join();
  const shown = other.map((text) => JSON.stringify(text.slice(0, 24)));
  const detail = `${texts.length - other.length} of ${texts.length} hostile texts alike`;
  return {
    name: `${what}: tokens`,
    ok: other.length === 0 && begins,
    detail: `${detail}${shown.length > 0 ? `; not ${shown.join(", ")}` : ""}; BOS ${begins}`,
  };
}
