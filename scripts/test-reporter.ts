// The test output for pipes and logs: one line per file, failures in full, Node's summary lines.
// On a terminal Node's own "spec" reporter is used instead.
import { relative, resolve } from "node:path";
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

type FileCounts = { passed: number; failed: number; skipped: number; ms: number; printed: string };

/** What a file printed last; shown if it crashes, because only there it says why. */
const PRINTED_CHARS_MAX = 4_000;

class Files {
  readonly #byPath = new Map<string, FileCounts>();

  of(path: string): FileCounts {
    const known = this.#byPath.get(resolve(path));
    if (known) return known;
    const counts = { passed: 0, failed: 0, skipped: 0, ms: 0, printed: "" };
    this.#byPath.set(resolve(path), counts);
    return counts;
  }
}

// tidy-ignore export-default: node --test-reporter takes a module's default export
// biome-ignore lint/style/noDefaultExport: node --test-reporter takes a module's default export
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files = new Files();
  for await (const event of events) {
    if (event.type === "test:pass" || event.type === "test:fail") {
      yield* testEnd(event, files.of(event.data.file ?? ""));
    } else if (event.type === "test:stderr" || event.type === "test:stdout") {
      const counts = files.of(event.data.file);
      counts.printed = `${counts.printed}${event.data.message}`.slice(-PRINTED_CHARS_MAX);
    } else if (event.type === "test:summary" && event.data.file !== undefined) {
      yield fileLine(event.data.file, files.of(event.data.file));
    } else if (event.type === "test:diagnostic" && event.data.nesting === 0) {
      yield `ℹ ${event.data.message}\n`;
    }
  }
}

type TestEnd = Extract<TestEvent, { type: "test:pass" | "test:fail" }>;

function* testEnd(event: TestEnd, counts: FileCounts): Generator<string> {
  const { file = "", name, nesting, details, skip } = event.data;
  if (nesting === 0) counts.ms += details.duration_ms;
  if (details.type === "suite") return;
  if (resolve(name) === resolve(file)) {
    // Node reports a file as a test of its own only if it crashed, or if no test ran in it.
    process.exitCode = 1;
    const what = event.type === "test:fail" ? "the file failed outside its tests" : "no test ran";
    yield `✖ ${relative(process.cwd(), file)}: ${what}\n${indented(counts.printed)}\n`;
  } else if (event.type === "test:fail") {
    counts.failed += 1;
    yield `\n✖ ${relative(process.cwd(), file)}: ${name}\n`;
    yield `${indented(errorText(event.data.details.error))}\n\n`;
  } else if (skip !== undefined) counts.skipped += 1;
  else counts.passed += 1;
}

function fileLine(file: string, { passed, failed, skipped, ms }: FileCounts): string {
  const parts = [`${passed} passed`];
  if (failed > 0) parts.push(`${failed} FAILED`);
  if (skipped > 0) parts.push(`${skipped} skipped`);
  const mark = failed > 0 ? "✖" : "✔";
  const seconds = (ms / 1000).toFixed(1);
  return `${mark} ${relative(process.cwd(), file)}: ${parts.join(", ")} (${seconds} s)\n`;
}

function errorText(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause);
}

function indented(text: string): string {
  return text.trimEnd().replace(/^/gm, "    ");
}
