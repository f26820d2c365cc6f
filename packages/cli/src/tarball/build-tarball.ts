// manyhands.tgz: this program as one file, its launcher and a package.json, so that a machine with
// only Node and npm can join. ONNX Runtime is left out: the launcher installs it there
// (bin/runtime.mjs).
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { packTar } from "modern-tar";

const EXECUTABLE = 0o755;
const PLAIN = 0o644;

type PackedFile = { readonly name: string; readonly bytes: Uint8Array };

const here = dirname(fileURLToPath(import.meta.url));
let built: Promise<Uint8Array> | undefined;

/** Built at the first call, then kept: the same program gives the same bytes. */
export function buildTarball(): Promise<Uint8Array> {
  built ??= pack();
  return built;
}

async function pack(): Promise<Uint8Array> {
  const files = await packageFiles();
  const entries = files.map(({ name, bytes }) => ({
    header: {
      name: `package/${name}`,
      size: bytes.length,
      mode: name.startsWith("bin/") ? EXECUTABLE : PLAIN,
      mtime: new Date(0),
    },
    body: bytes,
  }));
  return gzipSync(await packTar(entries), { level: 9 });
}

/** From a checkout the bundle is made; a program that came as a tarball passes itself on. */
async function packageFiles(): Promise<PackedFile[]> {
  const packed = join(here, "..");
  const isPacked = existsSync(join(packed, "dist", "runtime.json"));
  const root = isPacked ? packed : join(here, "..", "..");
  const launcher = ["bin/manyhands.mjs", "bin/runtime.mjs"].map((name) => read(root, name));
  if (isPacked) {
    const rest = ["dist/main.mjs", "dist/runtime.json", "package.json"];
    return [...launcher, ...rest.map((name) => read(root, name))];
  }
  return [
    ...launcher,
    { name: "dist/main.mjs", bytes: await bundle(join(here, "bundle-entry.ts")) },
    { name: "dist/runtime.json", bytes: json(runtimeVersions()) },
    { name: "package.json", bytes: json(packageJson(root)) },
  ];
}

function read(root: string, name: string): PackedFile {
  return { name, bytes: readFileSync(join(root, name)) };
}

function json(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
}

/** CommonJS packages inside the bundle ask for Node's own modules by require. */
const BANNER =
  'import { createRequire as __createRequire } from "node:module";' +
  "const require = __createRequire(import.meta.url);";

async function bundle(entry: string): Promise<Uint8Array> {
  const { build } = await import("esbuild");
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node24",
    external: ["onnxruntime-node", "esbuild", "@manyhands/chain/*", "../onchain/*"],
    banner: { js: BANNER },
    legalComments: "inline",
    minifySyntax: true,
    minifyWhitespace: true,
    write: false,
    logLevel: "silent",
  });
  return result.outputFiles[0]?.contents ?? new Uint8Array();
}

function runtimeVersions(): { readonly [name: string]: string } {
  return Object.fromEntries(
    ["node", "onnxruntime-node"].map((name) => [name, installedVersion(name)]),
  );
}

/** Of the package that this checkout runs with. */
function installedVersion(name: string): string {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(name) ?? []) {
    const file = join(folder, name, "package.json");
    if (existsSync(file)) return String(JSON.parse(readFileSync(file, "utf8")).version);
  }
  return "latest";
}

function packageJson(root: string): unknown {
  const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return {
    name: "manyhands",
    version: own.version,
    license: own.license,
    type: "module",
    bin: { manyhands: "./bin/manyhands.mjs" },
  };
}
