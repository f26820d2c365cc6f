// How the page is built: hashed files, no inline script, workers as modules of their own.
// Not how it is served: headers are the coordinator's.
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The service worker learns the names of what was built, and a version that follows from them. */
function serviceWorkerList(): Plugin {
  return {
    name: "manyhands-service-worker-list",
    apply: "build",
    generateBundle(_, bundle) {
      const shell = Object.keys(bundle)
        .filter((name) => /\.(?:js|css)$/.test(name) && name !== "sw.js" && !/ort/.test(name))
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

const COORDINATOR = process.env["COORDINATOR"] ?? "http://127.0.0.1:7433";

// biome-ignore lint/style/noDefaultExport: Vite reads its configuration from the default export
export default defineConfig(({ mode }) => ({
  // tidy-ignore export-default: Vite reads it
  root: here("."),
  // The screens for pictures and tests: the same page on a device that only pretends.
  resolve: {
    alias: mode === "screens" ? { "#device": here("src/testing/pretend-device.ts") } : {},
  },
  build: {
    outDir: mode === "screens" ? here("dist-screens") : here("dist"),
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
  plugins: [serviceWorkerList()],
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
