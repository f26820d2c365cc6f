// How the page is built: hashed files, no inline script, workers as modules of their own.
// Not how it is served: headers are the coordinator's.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Kept when it is first used: a first visit loads nothing of it. */
const LATER = new RegExp(
  [
    "ort-|model\\.worker|ledger\\.worker|ed25519",
    // Only runs that pay need these.
    "delegation-check|pay-card|pay-screen|own-pay|use-payout|wallet-parts|run-terms",
  ].join("|"),
);

/** The service worker learns the names of what was built, and a version that follows from them. */
function serviceWorkerList(): Plugin {
  return {
    name: "manyhands-service-worker-list",
    apply: "build",
    generateBundle(_, bundle) {
      const shell = Object.keys(bundle)
        .filter((name) => /\.(?:js|css)$/.test(name) && name !== "sw.js" && !LATER.test(name))
        .map((name) => `/${name}`)
        .toSorted((a, b) => (a < b ? -1 : 1));
      const version = createHash("sha256").update(shell.join()).digest("hex").slice(0, 12);
      const worker = bundle["sw.js"];
      if (worker?.type !== "chunk") this.error("there is no service worker in the bundle");
      worker.code = worker.code
        .replaceAll("__SHELL__", JSON.stringify(shell))
        .replaceAll("__VERSION__", JSON.stringify(version));
    },
  };
}

const RUNTIME = {
  wasm: "onnxruntime-web/ort-wasm-simd-threaded.wasm",
  webgpu: "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm",
} as const;

/** What a runtime's file weighs when it is served compressed, as the coordinator serves it. */
function wireBytes(name: keyof typeof RUNTIME): number {
  const file = fileURLToPath(import.meta.resolve(RUNTIME[name]));
  return gzipSync(readFileSync(file), { level: 6 }).length;
}

const COMPRESSED = /\.(?:js|mjs|css|html|svg|wasm|webmanifest)$/;

/** Every file once more with .gz: the coordinator serves it to whoever accepts it. */
function compressedFiles(): Plugin {
  return {
    name: "manyhands-compressed-files",
    apply: "build",
    writeBundle({ dir }) {
      if (dir === undefined) return;
      for (const name of readdirSync(dir, { recursive: true, encoding: "utf8" })) {
        if (!COMPRESSED.test(name)) continue;
        const path = join(dir, name);
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      }
    },
  };
}

const COORDINATOR = process.env["COORDINATOR"] ?? "http://127.0.0.1:7433";

const config = defineConfig(({ mode }) => ({
  root: here("."),
  // The screens for pictures and tests: the same page on a device that only pretends.
  resolve: {
    alias: mode === "screens" ? { "#device": here("src/testing/pretend-device.ts") } : {},
  },
  define: {
    __RUNTIME_BYTES__: JSON.stringify(
      mode === "production"
        ? { wasm: wireBytes("wasm"), webgpu: wireBytes("webgpu") }
        : { wasm: 0, webgpu: 0 },
    ),
  },
  build: {
    outDir: mode === "screens" ? here("../../.cache/page-of-screens") : here("dist"),
    emptyOutDir: true,
    target: "es2024",
    // Threads' blobs and data: URLs are refused by the policy of the page.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
    rolldownOptions: {
      input: { index: here("index.html"), sw: here("src/offline/service-worker.ts") },
      output: {
        entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  worker: { format: "es" },
  plugins: [serviceWorkerList(), ...(mode === "screens" ? [] : [compressedFiles()])],
  server: {
    proxy: {
      "/runs": {
        target: COORDINATOR,
        ws: true,
        bypass: (request) =>
          request.headers.accept?.includes("text/html") ? "/index.html" : undefined,
      },
    },
  },
}));

// biome-ignore lint/style/noDefaultExport: Vite reads its configuration from the default export
export default config; // tidy-ignore export-default: Vite reads its configuration from it
