// The runtime of a Manyhands that came as a tarball: ONNX Runtime and, where the Node at hand is
// too old, the pinned one. Installed once per version into a cache folder. Not used in a checkout.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join } from "node:path";

/**
 * Where to start from: `main` is the bundle's copy beside the runtime's node_modules; `node` is the
 * Node to run it with, undefined if the running one will do.
 */
export async function prepareRuntime({ bundle, isNewEnough }) {
  const versions = JSON.parse(readFileSync(join(dirname(bundle), "runtime.json"), "utf8"));
  const nodePackage = isNewEnough ? undefined : nodePackageName();
  const folder = join(cacheFolder(), runtimeName(versions, nodePackage));
  if (!existsSync(folder)) await install({ folder, versions, nodePackage });
  return {
    main: placeApp(folder, dirname(dirname(bundle))),
    node: nodePackage ? nodeBinary(folder, nodePackage) : undefined,
  };
}

function runtimeName(versions, nodePackage) {
  const ort = versions["onnxruntime-node"];
  const node = nodePackage ? `node-${versions.node}-` : "";
  return `runtime-${node}ort-${ort}-${process.platform}-${process.arch}`;
}

/** The registry's name for the bare Node binary of this platform. */
function nodePackageName() {
  const platform = process.platform === "win32" ? "win" : process.platform;
  const prefix = platform === "darwin" && process.arch === "arm64" ? "node-bin" : "node";
  return `${prefix}-${platform}-${process.arch}`;
}

function nodeBinary(folder, nodePackage) {
  const home = join(folder, "node_modules", nodePackage);
  const { bin } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
  return join(home, bin.node);
}

function cacheFolder() {
  const base =
    process.env.XDG_CACHE_HOME ||
    (process.platform === "win32" && process.env.LOCALAPPDATA) ||
    join(homedir(), ".cache");
  return join(base, "manyhands");
}

/** A whole copy of this package inside the runtime's folder, so that its imports resolve there. */
function placeApp(folder, packageRoot) {
  const hash = createHash("sha256").update(readFileSync(join(packageRoot, "dist", "main.mjs")));
  const app = join(folder, `app-${hash.digest("hex").slice(0, 16)}`);
  if (!existsSync(app)) {
    const temporary = `${app}.${process.pid}.tmp`;
    for (const part of ["bin", "dist", "package.json"]) {
      cpSync(join(packageRoot, part), join(temporary, part), { recursive: true });
    }
    moveInto(temporary, app);
  }
  return join(app, "dist", "main.mjs");
}

async function install({ folder, versions, nodePackage }) {
  const dependencies = { "onnxruntime-node": versions["onnxruntime-node"] };
  if (nodePackage) dependencies[nodePackage] = versions.node;
  const parts = Object.entries(dependencies).map(([name, version]) => `${name} ${version}`);
  const temporary = join(dirname(folder), `${basename(folder)}.${process.pid}.tmp`);
  mkdirSync(temporary, { recursive: true });
  writeFileSync(
    join(temporary, "package.json"),
    JSON.stringify({ name: "manyhands-runtime", private: true, dependencies }),
  );
  const line = `manyhands: first start on this machine: installing ${parts.join(" and ")}`;
  const stopProgress = showProgress(line);
  try {
    await npmInstall(temporary);
    removeOtherPlatforms(temporary);
  } catch (caught) {
    rmSync(temporary, { recursive: true, force: true });
    const wayOut = nodePackage ? ", or install Node 24 from https://nodejs.org and try again" : "";
    throw new Error(
      `npm could not install ${parts.join(" and ")}: ${caught.message}\n` +
        `  Check the connection to the npm registry${wayOut}.`,
    );
  } finally {
    stopProgress();
  }
  moveInto(temporary, folder);
}

/** Renames, unless another start was faster: then its folder is as good. */
function moveInto(temporary, folder) {
  try {
    renameSync(temporary, folder);
  } catch (caught) {
    rmSync(temporary, { recursive: true, force: true });
    if (!existsSync(folder)) throw caught;
  }
}

function npmInstall(folder) {
  const args = ["install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund"];
  args.push("--loglevel=error", "--global=false");
  const npm = process.env.npm_execpath;
  const isScript = npm !== undefined && /\.c?js$/.test(npm);
  const child = isScript
    ? spawn(process.execPath, [npm, ...args], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] })
    : spawn("npm", args, {
        cwd: folder,
        stdio: ["ignore", "ignore", "pipe"],
        shell: process.platform === "win32",
      });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr = (stderr + chunk).slice(-2_000);
  });
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new Error(`npm does not start (${error.message})`)));
    child.on("exit", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`it ended with code ${code}\n${stderr.trim()}`));
    });
  });
}

/** One line on stderr; on a terminal it counts the seconds. */
function showProgress(line) {
  if (!process.stderr.isTTY) {
    process.stderr.write(`${line} …\n`);
    return () => undefined;
  }
  let seconds = 0;
  const draw = () => process.stderr.write(`\r${line} … ${seconds++} s`);
  draw();
  const timer = setInterval(draw, 1_000);
  return () => {
    clearInterval(timer);
    process.stderr.write("\n");
  };
}

/** ONNX Runtime's package brings the libraries of every platform; this machine needs one. */
function removeOtherPlatforms(folder) {
  const home = join(folder, "node_modules", "onnxruntime-node", "bin");
  for (const abi of foldersIn(home)) {
    for (const platform of foldersIn(join(home, abi))) {
      for (const arch of foldersIn(join(home, abi, platform))) {
        const isOurs = platform === process.platform && arch === process.arch;
        const place = join(home, abi, platform, arch);
        if (!isOurs) rmSync(place, { recursive: true, force: true });
      }
    }
  }
}

function foldersIn(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}
