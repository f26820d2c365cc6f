import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { withHostState } from "../runtime/host-state.ts";
import { ortNode } from "../runtime/ort-node.ts";
import { reference } from "../runtime/reference.ts";
import type { StatefulRuntime } from "../runtime/runtime.ts";
import { browserProbe } from "./browser.ts";
import { nodeProbe } from "./node.ts";
import { type Candidate, type ProbeOptions, type ProbeStore, probe } from "./probe.ts";

/** Each reading of the clock is 20 ms later: the smallest matrices are enough. */
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

const working = withHostState(ortNode);

/** Counts how often it is opened. */
function candidate(
  name: Candidate["name"],
  open: () => Promise<StatefulRuntime> = () => Promise.resolve(working),
): Candidate & { opened: number } {
  const counted = {
    name,
    opened: 0,
    open: () => {
      counted.opened += 1;
      return open();
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

test("the best backend is the fastest", async () => {
  const slow = candidate("wasm", () => Promise.resolve(withHostState(reference)));
  // The reference takes as long as it takes: only the processor's clock can tell them apart.
  const now = (): number => process.cpuUsage().user / 1000;
  const budgetMs = Number.POSITIVE_INFINITY;
  const report = await probe({ ...options([slow, candidate("cpu")]), now, budgetMs });
  assert.equal(report.best, "cpu");
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
  const { promise, resolve } = Promise.withResolvers<StatefulRuntime>();
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

test("Node: a process that dies while it tries a backend leaves its canary", async () => {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-probe-"));
  const script = `
    import { probe } from ${JSON.stringify(import.meta.resolve("./probe.ts"))};
    import { nodeProbe } from ${JSON.stringify(import.meta.resolve("./node.ts"))};
    const candidates = [{ name: "webgpu", open: () => process.exit(7) }];
    await probe({ ...nodeProbe(${JSON.stringify(folder)}), candidates });
  `;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", script]);
  assert.equal(child.status, 7);
  assert.deepEqual(readdirSync(folder), ["manyhands.canary.webgpu"]);
  const cpu = candidate("cpu");
  const report = await probe({ ...nodeProbe(folder), candidates: [candidate("webgpu"), cpu] });
  assert.deepEqual(report.backends.webgpu, { status: "crashed" });
  assert(report.memoryBytesMax > 0);
  rmSync(folder, { recursive: true });
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
  assert.deepEqual(names(browserProbe(page)), ["webgpu", "wasm"]);
  assert.deepEqual(names(browserProbe({ ...page, crossOriginIsolated: true })), [
    "webgpu",
    "wasm-threads",
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
