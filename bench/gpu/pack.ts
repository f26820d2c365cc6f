// Packs the GPU benchmark as one archive for a Linux x64 machine that has no network and nothing
// installed: Node, ONNX Runtime, the benchmark as one file, its data, PyTorch's side, and the
// libraries between ONNX Runtime and a driver. Not the driver: it must be the machine's own.
//   npm run bench:gpu:pack [-- FILE]    default: .cache/bench-gpu/manyhands-gpu.tar.gz
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { build } from "esbuild";

const MIB = 2 ** 20;
const ARCHIVE_MIB_MAX = 60;
const SYSTEM = "/usr/lib/x86_64-linux-gnu";
const ONNX = "node_modules/onnxruntime-node";
const BINDING = `${ONNX}/bin/napi-v6/linux/x64`;

const out = resolve(process.argv[2] ?? ".cache/bench-gpu/manyhands-gpu.tar.gz");
const root = join(import.meta.dirname, "../..");
process.chdir(root);

/** Runs where it was unpacked; needs nothing but a shell. */
const LAUNCHER = `#!/bin/sh
# The GPU benchmark: bench/gpu/README.md explains it.
here=$(CDPATH= cd "\${0%/*}" && pwd)
if ! "$here/bin/node" --version > /dev/null 2>&1; then
  LD_LIBRARY_PATH="$here/bench/gpu/lib/cxx\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  export LD_LIBRARY_PATH
fi
exec "$here/bin/node" "$here/bench/gpu/main.mjs" "$@"
`;

/** What stands between Node and a driver, where a machine lacks it: name, and what to install. */
const LIBRARIES: readonly { readonly folder: string; readonly names: readonly string[] }[] = [
  { folder: "cxx", names: ["libstdc++.so.6", "libgcc_s.so.1"] },
  // NVIDIA's libGLX_nvidia.so.0 is its Vulkan driver, and links to X11 even without a display.
  {
    folder: "x11",
    names: [
      "libX11.so.6",
      "libXext.so.6",
      "libxcb.so.1",
      "libXau.so.6",
      "libXdmcp.so.6",
      "libbsd.so.0",
      "libmd.so.0",
      "libGLdispatch.so.0",
    ],
  },
];

function vulkanLoader(): string {
  const places = [SYSTEM, "/usr/lib/chromium"].map((folder) => `${folder}/libvulkan.so.1`);
  const found = places.find((path) => existsSync(path));
  if (found === undefined) throw new Error("no libvulkan.so.1: apt-get install libvulkan1");
  return found;
}

function place(folder: string, from: string, to = from): void {
  const target = join(folder, to);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(from, target);
}

async function bundle(folder: string): Promise<void> {
  await build({
    entryPoints: ["bench/gpu/main.ts"],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node24",
    external: ["onnxruntime-node"],
    outfile: join(folder, "bench/gpu/main.mjs"),
    logLevel: "warning",
  });
}

async function fill(folder: string): Promise<void> {
  await bundle(folder);
  writeFileSync(join(folder, "run"), LAUNCHER, { mode: 0o755 });
  place(folder, "node_modules/node/bin/node", "bin/node");
  try {
    // A seventh of it: names that only a debugger reads.
    execFileSync("strip", [join(folder, "bin/node")], { stdio: "ignore" });
  } catch {
    process.stderr.write("without strip (binutils) the archive is larger\n");
  }
  for (const name of ["libonnxruntime.so.1", "onnxruntime_binding.node"]) {
    place(folder, `${BINDING}/${name}`);
  }
  place(folder, `${ONNX}/package.json`);
  for (const name of ["index.js", "backend.js", "binding.js", "version.js"]) {
    place(folder, `${ONNX}/dist/${name}`);
  }
  place(folder, "node_modules/onnxruntime-common/package.json");
  const common = "node_modules/onnxruntime-common";
  for (const name of readdirSync(`${common}/dist/cjs`)) {
    if (/\.js$|^package.json$/.test(name)) place(folder, `${common}/dist/cjs/${name}`);
  }
  for (const name of [
    "bench/gpu/torch_gpu.py",
    "bench/gpu/README.md",
    "bench/engine/engines/torch_engine.py",
    "examples/shakespeare/input.txt",
    "LICENSE",
  ]) {
    place(folder, name);
  }
  place(folder, vulkanLoader(), "bench/gpu/lib/libvulkan.so.1");
  for (const { folder: group, names } of LIBRARIES) {
    for (const name of names) {
      const from = `${SYSTEM}/${name}`;
      if (existsSync(from)) place(folder, from, `bench/gpu/lib/${group}/${name}`);
      else process.stderr.write(`left out, because this machine has none: ${name}\n`);
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), "manyhands-pack-"));
try {
  await fill(folder);
  mkdirSync(dirname(out), { recursive: true });
  execFileSync("tar", ["--owner=0", "--group=0", "-I", "gzip -9", "-C", folder, "-cf", out, "."]);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const mebibytes = statSync(out).size / MIB;
process.stdout.write(`${out}: ${mebibytes.toFixed(1)} MiB of ${ARCHIVE_MIB_MAX}\n`);
if (mebibytes > ARCHIVE_MIB_MAX) throw new Error("the archive is too large");
