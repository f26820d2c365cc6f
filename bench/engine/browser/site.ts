// A cross-origin isolated site with the benchmark's page, the runtimes and the job's files.
// It deliberately caches nothing and knows no other path.
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, extname, join } from "node:path";
import { build } from "esbuild";

const RUNTIME = "node_modules/onnxruntime-web/dist";
const JAX = ".cache/bench-engine/node_modules/@jax-js/jax/dist";
const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
const HEADERS = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};
const HTML = `<!doctype html>
<meta charset="utf-8">
<script type="importmap">
{"imports": {
  "onnxruntime-web/wasm": "/ort/ort.wasm.bundle.min.mjs",
  "onnxruntime-web/webgpu": "/ort/ort.webgpu.bundle.min.mjs"
}}
</script>
<script type="module" src="/page/page.js"></script>`;

async function bundle(): Promise<ReadonlyMap<string, Uint8Array>> {
  const result = await build({
    entryPoints: [join(import.meta.dirname, "page.ts")],
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2024",
    external: ["onnxruntime-web/*"],
    outdir: "page",
    write: false,
  });
  return new Map(result.outputFiles.map(({ path, contents }) => [basename(path), contents]));
}

export type Site = { readonly url: string; readonly close: () => Promise<void> };

/** @param folder of the files under /files/ */
export async function startSite(folder: string): Promise<Site> {
  const scripts = await bundle();
  const folders: Readonly<Record<string, string>> = { ort: RUNTIME, jax: JAX, files: folder };
  const contentOf = (path: string): Uint8Array | string | undefined => {
    const [, first = "", name = ""] = path.split("/");
    if (path === "/") return HTML;
    if (first === "page") return scripts.get(name);
    const from = folders[first];
    return from === undefined ? undefined : readFileSync(join(from, basename(name)));
  };
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    const content = contentOf(path);
    const headers = { "content-type": TYPES[extname(path)] ?? "text/html", ...HEADERS };
    response.writeHead(content === undefined ? 404 : 200, headers).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, close: () => closeServer(server) };
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
