// The page for people who open the coordinator's address: what this is, and how to join. No script,
// no secret.
import type { RunStatus } from "../status.ts";

export function frontPage(
  origin: string,
  runs: readonly Pick<RunStatus, "runId" | "name" | "phase" | "round">[],
): string {
  const rows = runs
    .map(
      ({ runId, name, phase, round }) =>
        `<li><a href="/runs/${runId}">${escaped(name)}</a>: ${phase}, round ${round}</li>`,
    )
    .join("\n");
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Manyhands</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}
code{background:#eee;padding:.15rem .3rem;border-radius:.2rem}</style>
<h1>Manyhands</h1>
<p>Many devices train one model together here. Each trains for a short while on its own, sends a
small update, and gets everybody's progress back.</p>
<ul>
${rows}
</ul>
<h2>Take part</h2>
<p>Ask the owner for the join link of a run, and start a worker on any machine with Node 20 or
newer:</p>
<p><code>npx ${escaped(origin)}/manyhands.tgz join &lt;link&gt;</code></p>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
