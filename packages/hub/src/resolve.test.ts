// A repository into the cache, against a server that answers like the Hub, and misbehaves like one.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, afterEach, before, test } from "node:test";
import { type HubCode, HubError } from "./errors.ts";
import { type HubProgress, type ResolveOptions, resolveModel } from "./resolve.ts";
import { etagOf, FakeHub, type FakeRepo } from "./testing/fake-hub.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const NEXT = "1123456789abcdef0123456789abcdef01234567";
const WEIGHTS = 200_000;

let hub: FakeHub;
const folders: string[] = [];
before(async () => {
  hub = await FakeHub.start();
});
afterEach(() => {
  hub.repos.clear();
  hub.faults.length = 0;
  hub.seen.length = 0;
  hub.sent = 0;
  hub.onPiece = undefined;
  hub.pageSize = 100;
  hub.redirects = 0;
});
after(async () => {
  await hub.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function bytesOf(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7 + (i >> 8)) & 255);
}

function repoOf(change: Partial<FakeRepo> = {}, seed = 1): FakeRepo {
  const small = (text: string) => ({ bytes: Buffer.from(text), large: false });
  const files = new Map([
    [".gitattributes", small("* lfs")],
    ["config.json", small('{"model_type": "llama"}')],
    ["tokenizer.json", { bytes: bytesOf(50_000, 3), large: true }],
    ["model.safetensors", { bytes: bytesOf(WEIGHTS, seed), large: true }],
    ["pytorch_model.bin", { bytes: bytesOf(100), large: true }],
    ["README.md", small("# A model")],
    ["onnx/model.onnx", { bytes: bytesOf(100), large: true }],
  ]);
  return { commit: COMMIT, revisions: ["main", "v1", "refs/pr/1"], files, ...change };
}

function home(): string {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-hub-"));
  folders.push(folder);
  return folder;
}

function optionsOf(HF_HOME: string, env: Record<string, string> = {}): ResolveOptions {
  const all = { HF_ENDPOINT: hub.endpoint, HF_HOME, ...env };
  return { env: all, retryDelays: [0, 0, 0], stallMs: 20_000 };
}

async function refused(promise: Promise<unknown>, code: HubCode): Promise<HubError> {
  const caught = await promise.then(
    () => assert.fail(`accepted; expected ${code}`),
    (error: unknown) => error,
  );
  assert(caught instanceof HubError, String(caught));
  assert.equal(caught.code, code, caught.message);
  assert(caught.hint);
  return caught;
}

const storage = (HF_HOME: string): string => join(HF_HOME, "hub", "models--org--tiny");

test("a model is fetched into Hugging Face's cache, and the second time from it", async () => {
  hub.repos.set("org/tiny", repoOf());
  const HF_HOME = home();
  const ticks: HubProgress[] = [];
  const options = { ...optionsOf(HF_HOME), onProgress: (tick: HubProgress) => ticks.push(tick) };
  const model = await resolveModel("hf:org/tiny", options);
  const folder = join(storage(HF_HOME), "snapshots", COMMIT);
  assert.deepEqual(model, { folder, repo: "org/tiny", commit: COMMIT, fromCache: false });
  const names = ["README.md", "config.json", "model.safetensors", "tokenizer.json"];
  assert.deepEqual(new Set(readdirSync(folder)), new Set(names));
  const sha = etagOf({ bytes: bytesOf(WEIGHTS), large: true });
  assert.equal(readlinkSync(join(folder, "model.safetensors")), `../../blobs/${sha}`);
  assert.deepEqual([...readFileSync(join(folder, "model.safetensors"))], [...bytesOf(WEIGHTS)]);
  assert.equal(readFileSync(join(storage(HF_HOME), "refs", "main"), "utf8"), COMMIT);
  const blobs = readdirSync(join(storage(HF_HOME), "blobs"));
  assert(blobs.length === 4 && blobs.every((name) => /^[0-9a-f]{40,64}$/.test(name)), `${blobs}`);
  const last = ticks.at(-1);
  assert(last && last.bytes === last.total && last.fileBytes === WEIGHTS && !last.resumed);

  const sent = hub.sent;
  const again = await resolveModel("hf:org/tiny", optionsOf(HF_HOME));
  assert.deepEqual(again, { ...model, fromCache: true });
  assert.equal(hub.sent, sent, "no byte of a file again");
  // A tag of the same commit needs no bytes either, and a commit not even a question.
  await resolveModel("hf:org/tiny@refs/pr/1", optionsOf(HF_HOME));
  const asked = hub.seen.length;
  await resolveModel(`hf:org/tiny@${COMMIT}`, optionsOf(HF_HOME));
  assert.deepEqual([hub.sent, hub.seen.length], [sent, asked]);
});

test("a new commit fetches what changed, and the old snapshot stays", async () => {
  hub.repos.set("org/tiny", repoOf());
  const HF_HOME = home();
  const old = await resolveModel("hf:org/tiny", optionsOf(HF_HOME));
  hub.repos.set("org/tiny", repoOf({ commit: NEXT }, 2));
  hub.sent = 0;
  const fresh = await resolveModel("hf:org/tiny", optionsOf(HF_HOME));
  assert.equal(fresh.commit, NEXT);
  assert.equal(hub.sent, WEIGHTS);
  assert(existsSync(join(old.folder, "model.safetensors")));
});

test("shards that the index names are fetched, over a list of many pages", async () => {
  const shard = (seed: number) => ({ bytes: bytesOf(30_000, seed), large: true });
  const map = { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" };
  const index = { bytes: Buffer.from(JSON.stringify({ weight_map: map })), large: false };
  const files = new Map(repoOf().files);
  files.delete("model.safetensors");
  files.set("model.safetensors.index.json", index);
  files.set(map.a, shard(1)).set(map.b, shard(2)).set("consolidated.safetensors", shard(3));
  hub.repos.set("org/tiny", repoOf({ files }));
  hub.pageSize = 2;
  const { folder } = await resolveModel("hf:org/tiny", optionsOf(home()));
  const names = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));
  assert.deepEqual(new Set(names), new Set([map.a, map.b]));
});

/**
 * The server sends a piece only after the client has written the one before: what is on its way
 * when a connection breaks is lost, and tests should know how much that is.
 */
class Lockstep {
  readonly #written = new Map<string, number>();
  #wake: (() => void) | undefined;
  /** Once so many bytes are written, something happens instead of the next piece. */
  stopAt = Number.POSITIVE_INFINITY;
  onStop: (() => void) | undefined;

  constructor() {
    const start = hub.sent;
    hub.onPiece = async (all) => {
      const sent = all - start;
      while (this.#sum() < sent) {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
      if (sent >= this.stopAt) this.onStop?.();
    };
  }

  #sum(): number {
    return [...this.#written.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  wrote({ file, fileBytes }: Pick<HubProgress, "file" | "fileBytes">): void {
    this.#written.set(file, fileBytes);
    this.#wake?.();
  }
}

test("a connection that is cut goes on where it ended, and asks only for that version", async () => {
  hub.repos.set("org/tiny", repoOf());
  const cut = { kind: "cut", after: 48 << 10 } as const;
  // The tokenizer's, at its end what is left of it, and twice the weights'.
  hub.faults.push(cut, cut, cut, cut);
  const steps = new Lockstep();
  const onProgress = (tick: HubProgress): void => steps.wrote(tick);
  const { folder } = await resolveModel("hf:org/tiny", { ...optionsOf(home()), onProgress });
  assert.deepEqual([...readFileSync(join(folder, "model.safetensors"))], [...bytesOf(WEIGHTS)]);
  const ranges = hub.seen.filter(({ host, range }) => host === "store" && range !== undefined);
  assert(ranges.length === 3, JSON.stringify(hub.seen));
  assert(ranges.every(({ ifRange }) => ifRange?.startsWith('"store-')));
  const files = [...repoOf().files].filter(([name]) => /json$|README|model\.safe/.test(name));
  const total = files.reduce((sum, [, { bytes }]) => sum + bytes.length, 0);
  assert.equal(hub.sent, total, "no byte was sent twice");
});

test("a store without ranges, or with another version by now, starts over", async () => {
  for (const kind of ["no ranges", "other version"] as const) {
    hub.repos.set("org/tiny", repoOf());
    const HF_HOME = home();
    await stopAfter(60_000 + 50_000, HF_HOME);
    hub.faults.push({ kind });
    const { folder } = await resolveModel("hf:org/tiny", optionsOf(HF_HOME));
    assert.deepEqual([...readFileSync(join(folder, "model.safetensors"))], [...bytesOf(WEIGHTS)]);
  }
});

/** A download that its caller ends after so many bytes. */
async function stopAfter(bytes: number, HF_HOME: string): Promise<void> {
  const stop = new AbortController();
  const steps = new Lockstep();
  steps.stopAt = bytes;
  steps.onStop = () => stop.abort(new Error("stopped"));
  const onProgress = (tick: HubProgress): void => steps.wrote(tick);
  const options = { ...optionsOf(HF_HOME), signal: stop.signal, onProgress };
  await assert.rejects(resolveModel("hf:org/tiny", options), /stopped/);
  hub.onPiece = undefined;
}

test("bytes that are not the file's are refused, thrown away, and never in a snapshot", async () => {
  hub.repos.set("org/tiny", repoOf());
  const HF_HOME = home();
  await resolveModel("hf:org/tiny", optionsOf(HF_HOME));
  hub.repos.set("org/tiny", repoOf({ commit: NEXT }, 2));
  hub.faults.push({ kind: "wrong bytes" });
  const error = await refused(resolveModel("hf:org/tiny", optionsOf(HF_HOME)), "hub/corrupt");
  assert.match(error.message, /org\/tiny: model\.safetensors/);
  const blobs = readdirSync(join(storage(HF_HOME), "blobs"));
  assert(!blobs.some((name) => name.includes("incomplete")), `${blobs}`);
  assert.equal(readFileSync(join(storage(HF_HOME), "refs", "main"), "utf8"), COMMIT);
  await resolveModel("hf:org/tiny", optionsOf(HF_HOME));
  assert.equal(readFileSync(join(storage(HF_HOME), "refs", "main"), "utf8"), NEXT);
});

test("a busy server is asked again; one that stays so is named, and the cache serves", async () => {
  hub.repos.set("org/tiny", repoOf());
  const HF_HOME = home();
  hub.faults.push({ kind: "status", status: 503 }, { kind: "status", status: 429 });
  await resolveModel("hf:org/tiny", optionsOf(HF_HOME));
  const nowhere = { HF_ENDPOINT: "http://127.0.0.1:9" };
  const cached = await resolveModel("hf:org/tiny", optionsOf(HF_HOME, nowhere));
  assert.equal(cached.fromCache, true);
  const error = await refused(
    resolveModel("hf:org/tiny", optionsOf(home(), nowhere)),
    "hub/network",
  );
  assert.match(error.hint ?? "", /127\.0\.0\.1:9/);
});

test("offline, the cache serves what is whole, and no server is asked", async () => {
  hub.repos.set("org/tiny", repoOf());
  const HF_HOME = home();
  await stopAfter(150_000, HF_HOME);
  const offline = { HF_HUB_OFFLINE: "1" };
  await refused(resolveModel("hf:org/tiny", optionsOf(HF_HOME, offline)), "hub/offline");
  await resolveModel("hf:org/tiny", optionsOf(HF_HOME));
  const asked = hub.seen.length;
  assert((await resolveModel("hf:org/tiny", optionsOf(HF_HOME, offline))).fromCache);
  assert.equal(hub.seen.length, asked);
});

test("the token goes to the Hub and never to its store", async () => {
  hub.repos.set("org/tiny", repoOf({ token: "hf_secret" }));
  await resolveModel("hf:org/tiny", optionsOf(home(), { HF_TOKEN: "hf_secret" }));
  for (const { host, authorization } of hub.seen) {
    assert.equal(authorization, host === "hub" ? "Bearer hf_secret" : undefined);
  }
  assert(hub.seen.some(({ host }) => host === "store"));
  const HF_HOME = home();
  writeFileSync(join(HF_HOME, "token"), "hf_secret\n");
  await resolveModel("hf:org/tiny", optionsOf(HF_HOME));
});

test("refusals say what to do, and never the token", async () => {
  hub.repos.set("org/tiny", repoOf());
  hub.repos.set("org/private", repoOf({ token: "hf_secret" }));
  hub.repos.set("org/gated", repoOf({ gated: true }));
  const files = new Map(repoOf().files);
  files.delete("model.safetensors");
  hub.repos.set("org/pickle", repoOf({ files }));
  hub.repos.set("org/empty", repoOf({ files: new Map() }));
  const token = { HF_TOKEN: "hf_wrong" };
  const cases: readonly [string, HubCode, RegExp, Record<string, string>?][] = [
    ["hf:org/private", "hub/unauthorized", /set HF_TOKEN/],
    ["hf:org/private", "hub/not-found", /check the name/, token],
    ["hf:org/gated", "hub/gated", /accept its conditions/],
    ["hf:org/tiny@nowhere", "hub/no-revision", /leave @revision out/],
    ["hf:org/pickle", "hub/pickle", /safetensors version/],
    ["hf:org/empty", "hub/no-file", /config\.json/],
  ];
  for (const [name, code, hint, env] of cases) {
    const error = await refused(resolveModel(name, optionsOf(home(), env)), code);
    assert.match(error.hint ?? "", hint, name);
    assert(!`${error.message} ${error.hint} ${error.cause}`.includes("hf_wrong"));
  }
});

test("eight redirects are followed, and a list has two hundred pages at most", async () => {
  hub.repos.set("org/tiny", repoOf());
  hub.redirects = 8;
  await resolveModel("hf:org/tiny", optionsOf(home()));
  hub.redirects = 9;
  await refused(resolveModel("hf:org/tiny", optionsOf(home())), "hub/answer");
  const files = new Map(repoOf().files);
  while (files.size < 200) files.set(`x${files.size}`, { bytes: bytesOf(1), large: false });
  hub.repos.set("org/tiny", repoOf({ files }));
  hub.pageSize = 1;
  await resolveModel("hf:org/tiny", optionsOf(home()));
  files.set("one.more", { bytes: bytesOf(1), large: false });
  const error = await refused(resolveModel("hf:org/tiny", optionsOf(home())), "hub/answer");
  assert.match(error.message, /endless/);
});

test("a connection that falls silent counts as cut", async () => {
  hub.repos.set("org/tiny", repoOf());
  const { promise, resolve } = Promise.withResolvers<void>();
  hub.onPiece = () => promise;
  const options = { ...optionsOf(home()), retryDelays: [], stallMs: 50 };
  const files = new Map(repoOf().files);
  files.set("config.json", { bytes: bytesOf(100_000), large: false });
  hub.repos.set("org/tiny", repoOf({ files }));
  const error = await refused(resolveModel("hf:org/tiny", options), "hub/network");
  assert.match(error.message, /no byte in 50 ms/);
  resolve();
});

test("a file larger than the disk is refused before its first byte", async () => {
  const files = new Map(repoOf().files);
  files.set("model.safetensors", { bytes: bytesOf(9), large: true, claimedSize: 2 ** 52 });
  hub.repos.set("org/tiny", repoOf({ files }));
  const error = await refused(resolveModel("hf:org/tiny", optionsOf(home())), "hub/disk");
  assert.match(error.message, /needs 4503599627370496 bytes/);
});

test("two at once fetch the same model, and neither harms the other's", async () => {
  hub.repos.set("org/tiny", repoOf());
  const HF_HOME = home();
  const both = [resolveModel("hf:org/tiny", optionsOf(HF_HOME))];
  both.push(resolveModel("hf:org/tiny", optionsOf(HF_HOME)));
  for (const { folder } of await Promise.all(both)) {
    assert.deepEqual([...readFileSync(join(folder, "model.safetensors"))], [...bytesOf(WEIGHTS)]);
  }
  const blobs = readdirSync(join(storage(HF_HOME), "blobs"));
  assert(blobs.length === 4 && blobs.every((name) => /^[0-9a-f]{40,64}$/.test(name)), `${blobs}`);
});

test("a hostile list names no path outside the snapshot", async () => {
  const files = new Map(repoOf().files);
  for (const name of ["../evil.json", "a/../../evil.json", "..evil.json", ".hidden.json"]) {
    files.set(name, { bytes: Buffer.from("evil"), large: false });
  }
  hub.repos.set("org/tiny", repoOf({ files }));
  const { folder } = await resolveModel("hf:org/tiny", optionsOf(home()));
  assert(!readdirSync(folder).some((name) => name.includes("evil")));
});

const CHILD = `
  import { resolveModel } from ${JSON.stringify(join(import.meta.dirname, "resolve.ts"))};
  const onProgress = (tick) => console.log(JSON.stringify(tick));
  await resolveModel("hf:org/tiny", { retryDelays: [], onProgress }).catch((error) => {
    console.log(error.message, error.hint);
    process.exitCode = 3;
  });
`;

type Child = {
  readonly HF_HOME: string;
  /** The largest file that it may write, in bash's blocks of 1024 bytes. */
  readonly blocks?: number;
  /** It is killed once it has written so many bytes. */
  readonly killAt?: number;
};
type Ended = {
  readonly code: number | null;
  readonly signal: string | null;
  readonly text: string;
};

/** Another process that fetches the model. */
async function child({ HF_HOME, blocks, killAt }: Child): Promise<Ended> {
  const limit = blocks === undefined ? "" : `trap '' XFSZ; ulimit -f ${blocks}; `;
  const env = { ...process.env, HF_HOME, HF_ENDPOINT: hub.endpoint, NODE: process.execPath, CHILD };
  const run = `${limit}exec "$NODE" --input-type=module-typescript -e "$CHILD"`;
  const started = spawn("bash", ["-c", run], { env, stdio: ["ignore", "pipe", "inherit"] });
  const { pid } = started;
  assert(pid);
  const steps = new Lockstep();
  steps.stopAt = killAt ?? Number.POSITIVE_INFINITY;
  steps.onStop = () => process.kill(pid, "SIGKILL");
  let text = "";
  createInterface(started.stdout).on("line", (line) => {
    if (line.startsWith("{")) steps.wrote(JSON.parse(line));
    else text += line;
  });
  const { promise, resolve } = Promise.withResolvers<Ended>();
  started.on("close", (code, signal) => resolve({ code, signal, text }));
  const ended = await promise;
  hub.onPiece = undefined;
  return ended;
}

test("SIGKILL in the middle: the next process goes on from there", async () => {
  hub.repos.set("org/tiny", repoOf());
  const HF_HOME = home();
  const killed = await child({ HF_HOME, killAt: 50_000 + 120_000 });
  assert.equal(killed.signal, "SIGKILL");
  const blobs = join(storage(HF_HOME), "blobs");
  const partial = readdirSync(blobs).find((name) => name.endsWith(".incomplete"));
  assert(partial, `${readdirSync(blobs)}`);
  const kept = lstatSync(join(blobs, partial)).size;
  assert(kept > 0 && kept < WEIGHTS);
  hub.sent = 0;
  const resumed: boolean[] = [];
  const onProgress = (tick: HubProgress): number => resumed.push(tick.resumed);
  const { folder } = await resolveModel("hf:org/tiny", { ...optionsOf(HF_HOME), onProgress });
  assert.equal(hub.sent, WEIGHTS - kept);
  assert(resumed.length > 0 && resumed.every(Boolean));
  assert.deepEqual([...readFileSync(join(folder, "model.safetensors"))], [...bytesOf(WEIGHTS)]);
  const left = readdirSync(blobs).filter((name) => /incomplete|lock|tag/.test(name));
  assert.deepEqual(left, []);
});

test("a disk without room: a sentence, and with room again the download goes on", async () => {
  hub.repos.set("org/tiny", repoOf());
  const HF_HOME = home();
  const full = await child({ HF_HOME, blocks: 120 });
  assert.equal(full.code, 3, full.text);
  assert.match(full.text, /the disk is full \(hub\/disk\) free some space/);
  hub.sent = 0;
  await resolveModel("hf:org/tiny", optionsOf(HF_HOME));
  assert(hub.sent < WEIGHTS, "what was written is kept");
});
