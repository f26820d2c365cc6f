// A site that serves one page with the engine, bundled, beside the runtime's own files.
// For tests: it caches nothing and knows no other path.
import { readFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, extname, join } from "node:path";
import { build } from "esbuild";

const ROOT = join(import.meta.dirname, "../..");
const RUNTIME = join(ROOT, "node_modules/onnxruntime-web/dist");
const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".json": "application/json",
};

const HTML = `<!doctype html>
<meta charset="utf-8">
<script src="/counters.js"></script>
<script type="importmap">
{"imports": {
  "onnxruntime-web/wasm": "/ort/ort.wasm.bundle.min.mjs",
  "onnxruntime-web/webgpu": "/ort/ort.webgpu.bundle.min.mjs"
}}
</script>
<script type="module" src="/page/page.js"></script>`;

/** The page's script and its chunks, by name. */
async function bundle(): Promise<ReadonlyMap<string, Uint8Array>> {
  const result = await build({
    entryPoints: [join(import.meta.dirname, "page.ts")],
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2024",
    external: ["onnxruntime-web/*"],
    outdir: join(ROOT, "page"),
    write: false,
  });
  return new Map(result.outputFiles.map(({ path, contents }) => [basename(path), contents]));
}

export type Site = { readonly url: string; readonly close: () => Promise<void> };

/** @param isolated whether pages are cross-origin isolated, as threads need it */
export async function startSite(isolated: boolean): Promise<Site> {
  const scripts = await bundle();
  const contentOf = (path: string): Uint8Array | string | undefined => {
    const name = basename(path);
    if (path === "/") return HTML;
    if (path === "/counters.js") return readFileSync(join(import.meta.dirname, name));
    if (path.startsWith("/page/")) return scripts.get(name);
    if (path.startsWith("/ort/")) return readFileSync(join(RUNTIME, name));
    if (path.startsWith("/vectors/")) return readFileSync(join(ROOT, "vectors/engine", name));
    return undefined;
  };
  const answer = (path: string, response: ServerResponse): void => {
    const content = contentOf(path);
    const headers = {
      "content-type": TYPES[extname(path)] ?? "text/html",
      ...(isolated
        ? {
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-embedder-policy": "require-corp",
          }
        : {}),
    };
    response.writeHead(content === undefined ? 404 : 200, headers).end(content);
  };
  const server = createServer((request, response) => answer(request.url ?? "/", response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, close: () => closeServer(server) };
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
