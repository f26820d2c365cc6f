#!/usr/bin/env node
// Starts Manyhands under a Node.js that can run it: this one, or the pinned one beside it.
// Plain JavaScript that Node 18 understands; no rule of the product lives here.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const NODE_MAJOR_MIN = 24;
const EXIT_FAILED = 1;
const here = dirname(fileURLToPath(import.meta.url));
const bundle = join(here, "..", "dist", "main.mjs");
const source = join(here, "..", "src", "main.ts");

try {
  if (existsSync(bundle)) await startBundle();
  else await startSource();
} catch (caught) {
  if (process.env.MANYHANDS_DEBUG === "1") throw caught;
  process.stderr.write(`manyhands: ${caught instanceof Error ? caught.message : caught}\n`);
  process.exitCode = EXIT_FAILED;
}

/** In a checkout: src/main.ts, under this Node or the one that `npm install` put here. */
async function startSource() {
  if (isNewEnough()) {
    const { start } = await import(pathToFileURL(source).href);
    await start();
    return;
  }
  const node = pinnedNode();
  if (node) return reExecute(node, fileURLToPath(import.meta.url));
  throw new Error(
    `this is Node ${process.versions.node}, and Manyhands needs Node ${NODE_MAJOR_MIN}: ` +
      "run `npm install` in the project's folder, which brings the right one",
  );
}

/** From the tarball: dist/main.mjs, moved beside the runtime that runtime.mjs installs. */
async function startBundle() {
  const { prepareRuntime } = await import("./runtime.mjs");
  const { main, node } = await prepareRuntime({ bundle, isNewEnough: isNewEnough() });
  if (node) return reExecute(node, main);
  await import(pathToFileURL(main).href); // the bundle starts when it is loaded
}

function isNewEnough() {
  return Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN;
}

/** The first node_modules/node upward from this file. */
function pinnedNode() {
  const file = process.platform === "win32" ? "node.exe" : "node";
  for (let folder = here; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", "node", "bin", file);
    if (existsSync(candidate)) return candidate;
    if (folder === dirname(folder)) return undefined;
  }
}

/** The same command line under another Node: signals go through, and so does how it ended. */
function reExecute(node, script) {
  const child = spawn(node, [...process.execArgv, script, ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => child.kill(signal));
  }
  return new Promise((resolve, reject) => {
    child.on("error", (error) =>
      reject(new Error(`Node at ${node} does not start: ${error.message}`)),
    );
    child.on("exit", (code, signal) => {
      process.exitCode = code ?? 128 + (constants.signals[signal] ?? 0);
      resolve();
    });
  });
}
