// Finding a GPU from Linux's Node: the Vulkan loader, then the driver's manifest. ONNX Runtime's
// WebGPU asks the loader (libvulkan.so.1), the loader asks the drivers that manifests name.
// It deliberately installs nothing and changes no file of the machine.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type Environment = Readonly<Record<string, string>>;
export type Found = { readonly how: string; readonly env: Environment };
export type Missing = { readonly reason: string; readonly hint: string };

/** Where drivers leave their manifests, the usual places and NVIDIA's in containers. */
const MANIFEST_FOLDERS = [
  "/usr/share/vulkan/icd.d",
  "/etc/vulkan/icd.d",
  "/usr/local/share/vulkan/icd.d",
  "/usr/local/nvidia/share/vulkan/icd.d",
  "/run/opengl-driver/share/vulkan/icd.d",
];
/** Drivers that compute on the processor: a last resort, and no GPU. */
const SOFTWARE = /lvp|lavapipe|swiftshader|swrast/i;

function manifests(): readonly string[] {
  const found = MANIFEST_FOLDERS.filter((folder) => existsSync(folder)).flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith(".json"))
      .map((name) => join(folder, name)),
  );
  return found.toSorted((a, b) => Number(SOFTWARE.test(a)) - Number(SOFTWARE.test(b)));
}

function withDriver(manifest: string): Environment {
  // Two names: loaders before 1.3.207 know only the second.
  return { VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest };
}

/** NVIDIA's driver by its EGL library, which needs no X11 on the machine. */
function nvidiaWithoutX(): readonly Found[] {
  const source = manifests().find((path) => path.includes("nvidia"));
  if (source === undefined) return [];
  const manifest = JSON.parse(readFileSync(source, "utf8"));
  manifest.ICD.library_path = "libEGL_nvidia.so.0";
  const path = join(mkdtempSync(join(tmpdir(), "manyhands-gpu-")), "nvidia_headless.json");
  writeFileSync(path, JSON.stringify(manifest));
  return [{ how: "NVIDIA's driver without X11", env: withDriver(path) }];
}

/** What is tried, in order. @param shipped the folder of the archive's own libraries */
function candidates(shipped: string): readonly Found[] {
  const chosen = process.env["VK_DRIVER_FILES"] ?? process.env["VK_ICD_FILENAMES"];
  const drivers: readonly Found[] =
    chosen === undefined
      ? [
          { how: "the machine's drivers", env: {} },
          ...manifests().map((path) => ({ how: path, env: withDriver(path) })),
          ...nvidiaWithoutX(),
        ]
      : [{ how: chosen, env: {} }];
  const before = process.env["LD_LIBRARY_PATH"];
  const paths = [shipped, join(shipped, "x11")].map((folder, depth) => {
    const own = depth === 0 ? [folder] : [shipped, folder];
    return [...(before ? [before] : []), ...own].join(":");
  });
  const loaders: readonly Found[] = [
    { how: "its loader", env: {} },
    ...paths.map((path, i) => ({
      how: i === 0 ? "our loader" : "our loader and X11 libraries",
      env: { LD_LIBRARY_PATH: path },
    })),
  ];
  return loaders.flatMap((loader) =>
    drivers.map((driver) => ({
      how: `${driver.how}, ${loader.how}`,
      env: { ...driver.env, ...loader.env },
    })),
  );
}

const TRY_MS = 120_000;

/** Asks in a child. @returns its complaint, or nothing if a GPU answers */
function ask(command: readonly string[], env: Environment): Promise<string | undefined> {
  const [file = "", ...args] = command;
  const child = spawn(file, args, { env: { ...process.env, ...env }, timeout: TRY_MS });
  let [answer, errors] = ["", ""];
  child.stdout.on("data", (bytes: Buffer) => {
    answer += bytes;
  });
  child.stderr.on("data", (bytes: Buffer) => {
    errors = `${errors}${bytes}`.slice(-4000);
  });
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => {
      const ended = `ended by ${signal ?? `exit code ${code}`}`;
      resolve(answer.includes('"ok":true') ? undefined : `${errors.trim()} ${ended}`);
    });
  });
}

/** The first way by which a GPU answers, or why none does. */
export async function findGpu(
  command: readonly string[],
  shipped: string,
): Promise<Found | Missing> {
  const complaints: string[] = [];
  const seen = new Set<string>();
  for (const found of candidates(shipped)) {
    const key = JSON.stringify(found.env);
    if (seen.has(key)) continue;
    seen.add(key);
    const complaint = await ask(command, found.env);
    if (complaint === undefined) return found;
    complaints.push(`${found.how}: ${complaint}`);
  }
  return explain(complaints);
}

/** One sentence about what is missing, and what to do. */
function explain(complaints: readonly string[]): Missing {
  const last = complaints.at(-1)?.split("\n").slice(-3).join(" ").slice(0, 300) ?? "";
  const hasNvidia = existsSync("/dev/nvidia0") || existsSync("/proc/driver/nvidia/version");
  const hasGpu = hasNvidia || existsSync("/dev/dri/renderD128") || existsSync("/dev/dxg");
  if (!hasGpu) {
    return {
      reason: "this machine shows no GPU (no /dev/nvidia0, no /dev/dri/renderD128)",
      hint: "in a container, pass the GPU in; VK_ICD_FILENAMES can name a software driver",
    };
  }
  if (manifests().length === 0) {
    return {
      reason:
        "there is a GPU, but no Vulkan driver: no manifest in /usr/share/vulkan/icd.d or /etc",
      hint: hasNvidia
        ? "NVIDIA's nvidia_icd.json is needed; for containers, NVIDIA_DRIVER_CAPABILITIES=all"
        : "apt-get install mesa-vulkan-drivers",
    };
  }
  return {
    reason: `there is a GPU and a driver's manifest, but no adapter answers: ${last}`,
    hint: "vulkaninfo --summary says more; the driver may be too old, or lack its libraries",
  };
}

/** What the processes complain of, as one clear sentence. */
export function explainFailure(message: string): string {
  const text = message.replaceAll(/\s+/g, " ");
  if (/out of memory|OutOfMemory|OUT_OF_(DEVICE|HOST)_MEMORY|bad_alloc/i.test(text)) {
    return "out of memory: take fewer sequences a step (--sequences 1)";
  }
  if (/exceeds the max(imum)? (storage )?buffer|maxBufferSize|maxStorageBuffer/i.test(text)) {
    return "one array is larger than the device's largest buffer: --sequences 1";
  }
  if (/device (was |is )?lost|DEVICE_LOST/i.test(text)) {
    return "the GPU was lost: out of memory, or a step took longer than the driver allows";
  }
  if (/No supported adapters|Failed to get a WebGPU adapter/.test(text)) {
    return "no GPU answers: see what the first lines say about drivers";
  }
  if (/No module named .?torch/.test(text)) return "PyTorch is not installed";
  return text.slice(0, 300);
}
