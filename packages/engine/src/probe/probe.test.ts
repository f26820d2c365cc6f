import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { withHostState } from "../runtime/host-state.ts";
import { ortNode } from "../runtime/ort-node.ts";
import { reference } from "../runtime/reference.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { browserProbe } from "./browser.ts";
import { nodeProbe } from "./node.ts";
import { type Candidate, type ProbeOptions, type ProbeStore, probe } from "./probe.ts";
import { measureSpeed, type Speed } from "./speed.ts";

/** Each reading of the clock is later. */
function ticking(): () => number {
  let now = 0;
  return () => {
    now += 20;
    return now;
  };
}

function memoryStore(): ProbeStore & { readonly kept: Map<string, string> } {
  const kept = new Map<string, string>();
  return {
    kept,
    get: (key) => kept.get(key),
    set: (key, value) => kept.set(key, value),
    delete: (key) => kept.delete(key),
  };
}

const working: Speed = { flopsPerSecond: 1e9, startMs: 20 };

/** Counts how often it is measured. */
function candidate(
  name: Candidate["name"],
  measure: () => Promise<Speed> = () => Promise.resolve(working),
): Candidate & { opened: number } {
  const counted = {
    name,
    opened: 0,
    measure: () => {
      counted.opened += 1;
      return measure();
    },
  };
  return counted;
}

function options(candidates: readonly Candidate[], store = memoryStore()): ProbeOptions {
  return {
    candidates,
    memoryBytesMax: 1000,
    store,
    now: ticking(),
    sleep: () => new Promise(() => undefined),
    device: "this one",
  };
}

test("backends that work have a speed, others a reason, and both are remembered", async () => {
  const [cpu, gpu] = [candidate("cpu"), candidate("webgpu", () => Promise.reject("no adapter"))];
  const store = memoryStore();
  const first = await probe(options([cpu, gpu], store));
  assert.equal(first.backends.cpu?.status, "works");
  assert(first.backends.cpu.flopsPerSecond > 0);
  assert.deepEqual(first.backends.webgpu, { status: "fails", reason: "no adapter" });
  assert.equal(first.best, "cpu");
  assert.equal(first.memoryBytesMax, 1000);
  assert.deepEqual(await probe(options([cpu, gpu], store)), first);
  assert.deepEqual([cpu.opened, gpu.opened], [1, 1]);
  await probe({ ...options([cpu, gpu], store), device: "another one" });
  assert.deepEqual([cpu.opened, gpu.opened], [2, 2], "what another device was is not this one's");
  await probe({ ...options([cpu, gpu], store), device: "another one", afresh: true });
  assert.deepEqual([cpu.opened, gpu.opened], [3, 3]);
});

test("the best backend is the fastest that works", async () => {
  const fast = { flopsPerSecond: 3e9, startMs: 900 };
  const report = await probe(
    options([
      candidate("cpu"),
      candidate("wasm", () => Promise.resolve(fast)),
      candidate("webgpu", () => Promise.reject("no adapter")),
    ]),
  );
  assert.equal(report.best, "wasm");
  assert.deepEqual(report.backends.wasm, { status: "works", ...fast });
});

test("speed: the reference is slower than ONNX Runtime", async () => {
  // Wall clocks stand still when another process has the processor: what this one used does not.
  const now = (): number => process.cpuUsage().user / 1000;
  const of = (runtime: Runtime): Promise<Speed> =>
    measureSpeed(async () => withHostState(runtime), now, 0);
  const [fast, slow] = [await of(ortNode), await of(reference)];
  assert(fast.flopsPerSecond > slow.flopsPerSecond);
  assert(slow.flopsPerSecond > 0);
});

test("Node: the CPU works, and is measured in a thread", async () => {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-probe-"));
  const { promise, resolve } = Promise.withResolvers<void>();
  const patient = { ...nodeProbe(folder), sleep: () => promise };
  const { candidates } = patient;
  const report = await probe({
    ...patient,
    candidates: candidates.filter(({ name }) => name === "cpu"),
  });
  resolve();
  assert.equal(report.backends.cpu?.status, "works");
  assert.deepEqual(readdirSync(folder), ["manyhands.probe.cpu"]);
  rmSync(folder, { recursive: true });
});

test("a backend whose canary is still there is not tried", async () => {
  const store = memoryStore();
  const gpu = candidate("webgpu", () => {
    assert.deepEqual([...store.kept.keys()], ["manyhands.canary.webgpu"]);
    return Promise.resolve(working);
  });
  await probe(options([gpu], store));
  assert.equal(store.get("manyhands.canary.webgpu"), undefined, "it is removed after the try");
  store.set("manyhands.canary.webgpu", "being tried");
  const report = await probe(options([gpu], store));
  assert.deepEqual(report.backends, { webgpu: { status: "crashed" } });
  assert.equal(report.best, undefined);
  assert.equal(gpu.opened, 1);
  const again = await probe({ ...options([gpu], store), afresh: true });
  assert.equal(again.backends.webgpu?.status, "works");
});

test("a backend that takes too long keeps nobody waiting, and is remembered later", async () => {
  const store = memoryStore();
  const { promise, resolve } = Promise.withResolvers<Speed>();
  const [gpu, cpu] = [candidate("webgpu", () => promise), candidate("cpu")];
  const clock = ticking();
  let late = 0;
  const hurried = {
    ...options([gpu, cpu], store),
    now: () => clock() + late,
    sleep: async (ms: number) => {
      late += ms;
    },
  };
  const first = await probe(hurried);
  assert.deepEqual(first.backends, {
    webgpu: { status: "untried" },
    cpu: { status: "untried" },
  });
  assert(store.get("manyhands.canary.webgpu"), "it may still crash");
  const meanwhile = await probe(options([gpu], store));
  assert.deepEqual(meanwhile.backends.webgpu, { status: "untried" }, "it is our own canary");
  const kept = new Promise<void>((done) => {
    const set = store.set;
    store.set = (key, value) => {
      set(key, value);
      if (key === "manyhands.probe.webgpu") done();
    };
  });
  resolve(working);
  await kept;
  const second = await probe(options([gpu, cpu], store));
  assert.equal(second.backends.webgpu?.status, "works");
  assert.equal(second.backends.cpu?.status, "works");
  assert.equal(gpu.opened, 1);
});

test("damaged memories are no memories", async () => {
  for (const text of ["{", "null", "[]", '{"device":"this one","report":{"status":"works"}}']) {
    const store = memoryStore();
    store.set("manyhands.probe.cpu", text);
    const cpu = candidate("cpu");
    const report = await probe(options([cpu], store));
    assert.equal(report.backends.cpu?.status, "works");
    assert.equal(cpu.opened, 1);
  }
});

/** A process that ends in some way while it tries a backend. @returns what its folder holds then */
function endWhileTrying(
  folder: string,
  ending: string,
): { readonly files: readonly string[]; readonly signal: string | null } {
  const script = `
    import { probe } from ${JSON.stringify(import.meta.resolve("./probe.ts"))};
    import { nodeProbe } from ${JSON.stringify(import.meta.resolve("./node.ts"))};
    const wait = () => new Promise((resolve) => setTimeout(resolve, 60_000));
    const kill = (signal) => (process.kill(process.pid, signal), wait());
    const candidates = [{ name: "webgpu", measure: () => ${ending} }];
    await probe({ ...nodeProbe(${JSON.stringify(folder)}), candidates });
  `;
  const { signal } = spawnSync(process.execPath, ["--input-type=module", "-e", script]);
  return { files: readdirSync(folder), signal };
}

test("Node: a process that dies while it tries a backend leaves its canary", async () => {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-probe-"));
  const inOrder = endWhileTrying(folder, "process.exit(7)");
  assert.deepEqual(inOrder, { files: [], signal: null }, "it ended in order");
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    const told = endWhileTrying(folder, `kill("${signal}")`);
    assert.deepEqual(told, { files: [], signal }, "it was told to end");
  }
  const files = ["manyhands.canary.webgpu"];
  for (const signal of ["SIGKILL", "SIGSEGV"]) {
    assert.deepEqual(endWhileTrying(folder, `kill("${signal}")`), { files, signal });
    rmSync(join(folder, files[0] ?? ""));
  }
  const aborted = endWhileTrying(folder, "process.abort()");
  assert.deepEqual(aborted, { files, signal: "SIGABRT" });
  const gpu = candidate("webgpu");
  const report = await probe({ ...nodeProbe(folder), candidates: [gpu, candidate("cpu")] });
  assert.deepEqual(report.backends.webgpu, { status: "crashed" });
  assert.equal(report.best, "cpu");
  assert.equal(gpu.opened, 0);
  assert(report.memoryBytesMax > 0);
  rmSync(folder, { recursive: true });
});

test("a page that is left takes its canary along, one that crashes does not", async () => {
  const { kept, ...local } = memoryStore();
  const listeners = new Set<() => void>();
  const page = {
    navigator: { userAgent: "a browser", hardwareConcurrency: 1 },
    performance: { now: () => 0 },
    setTimeout: () => undefined,
    localStorage: {
      getItem: (key: string) => local.get(key) ?? null,
      setItem: local.set,
      removeItem: local.delete,
    },
    addEventListener: (_name: "pagehide", listener: () => void) => void listeners.add(listener),
    removeEventListener: (_name: "pagehide", listener: () => void) =>
      void listeners.delete(listener),
  };
  const { store } = browserProbe(page);
  store.set("manyhands.canary.wasm", "being tried");
  assert.equal(kept.size, 1, "a crash now leaves it");
  for (const listener of listeners) listener();
  assert.equal(kept.size, 0);
  store.delete("manyhands.canary.wasm");
  assert.equal(listeners.size, 0, "nobody listens when nothing is tried");
});

test("a page is probed with threads only where it may have them", () => {
  const kept = memoryStore().kept;
  const page = {
    navigator: { userAgent: "a browser", hardwareConcurrency: 8, deviceMemory: 4, gpu: {} },
    performance: { now: () => 0 },
    setTimeout: () => undefined,
    localStorage: {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key),
    },
  };
  const names = (probed: ProbeOptions): string[] => probed.candidates.map(({ name }) => name);
  assert.deepEqual(names(browserProbe(page)), ["wasm", "webgpu"]);
  assert.deepEqual(names(browserProbe({ ...page, crossOriginIsolated: true })), [
    "wasm-threads",
    "webgpu",
  ]);
  assert.equal(browserProbe(page).memoryBytesMax, 2 ** 30);
  const { gpu: _, deviceMemory: __, ...navigator } = page.navigator;
  const phone = browserProbe({ ...page, navigator });
  assert.deepEqual(names(phone), ["wasm"]);
  assert(phone.memoryBytesMax < 2 ** 30);
  phone.store.set("key", "value");
  assert.equal(kept.get("key"), "value");
  assert.equal(phone.store.get("other"), undefined);
});
