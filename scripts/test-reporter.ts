// The test output for pipes and logs: one line per file, failures in full, Node's summary lines.
// On a terminal Node's own "spec" reporter is used instead.
import { relative } from "node:path";
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

type Counts = { passed: number; failed: number; skipped: number; ms: number };

// tidy-ignore export-default: node --test-reporter takes a module's default export
// biome-ignore lint/style/noDefaultExport: node --test-reporter takes a module's default export
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files = new Map<string, Counts>();
  for await (const event of events) {
    if (event.type === "test:pass" || event.type === "test:fail") {
      const { file = "(no file)", nesting, details, name, skip } = event.data;
      const counts = files.get(file) ?? { passed: 0, failed: 0, skipped: 0, ms: 0 };
      files.set(file, counts);
      if (nesting === 0) counts.ms += details.duration_ms;
      if (details.type === "suite") continue;
      if (event.type === "test:fail") counts.failed += 1;
      else if (skip !== undefined) counts.skipped += 1;
      else counts.passed += 1;
      if (event.type === "test:fail") yield failureText(file, name, event.data.details.error);
    } else if (event.type === "test:summary" && event.data.file !== undefined) {
      yield fileLine(event.data.file, files.get(event.data.file));
    } else if (event.type === "test:diagnostic" && event.data.nesting === 0) {
      yield `ℹ ${event.data.message}\n`;
    }
  }
}

function fileLine(file: string, counts: Counts | undefined): string {
  const { passed, failed, skipped, ms } = counts ?? { passed: 0, failed: 0, skipped: 0, ms: 0 };
  const parts = [`${passed} passed`];
  if (failed > 0) parts.push(`${failed} FAILED`);
  if (skipped > 0) parts.push(`${skipped} skipped`);
  const mark = failed > 0 ? "✖" : "✔";
  const seconds = (ms / 1000).toFixed(1);
  return `${mark} ${relative(process.cwd(), file)}: ${parts.join(", ")} (${seconds} s)\n`;
}

function failureText(file: string, name: string, error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause);
  return `\n✖ ${relative(process.cwd(), file)}: ${name}\n${text.replace(/^/gm, "    ")}\n\n`;
}
