// The built page over real HTTP: who gets it and who gets data, caching, compression, headers.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { brotliCompressSync, gunzipSync } from "node:zlib";
import { startTiny, temporaryFolder } from "../testing/wire.ts";
import { readPage } from "./static-page.ts";

const HTML = "<!doctype html><title>page</title>";
const WASM = Buffer.alloc(5_000, "wasm ");

function builtPage(t: TestContext): string {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "assets"));
  writeFileSync(join(folder, "index.html"), HTML);
  writeFileSync(join(folder, "assets/index-Ab3dEf_9.js"), "let x = 1;");
  writeFileSync(join(folder, "assets/ort-0123abcd.wasm"), WASM);
  writeFileSync(join(folder, "assets/ort-0123abcd.wasm.br"), brotliCompressSync(WASM));
  return folder;
}

type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
};

/** Not fetch: that decodes bodies and normalises addresses. */
function get(base: string, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    request({ hostname, port, path, headers }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("end", () => {
        const { statusCode: status = 0 } = response;
        resolve({ status, headers: response.headers, body: Buffer.concat(pieces) });
      });
    })
      .on("error", reject)
      .end();
  });
}

const BROWSER = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

test("a person at any address of the page gets it, a script at the same address gets data", async (t) => {
  const { coordinator } = await startTiny(t, { page: builtPage(t) });
  const { url, runId } = coordinator;
  for (const path of ["/", `/runs/${runId}`, `/runs/${runId}/ledger`, "/limits", "/runs/7"]) {
    const { status, body } = await get(url, path, BROWSER);
    assert.deepEqual([status, body.toString()], [200, HTML], path);
  }
  const { headers, body } = await get(url, `/runs/${runId}`, { accept: "application/json" });
  assert.match(String(headers["content-type"]), /json/);
  assert.equal(JSON.parse(body.toString()).runId, runId);
  assert.equal((await get(url, `/runs/${runId}/log`, BROWSER)).status, 401);
  assert.equal((await get(url, "/nothing", {})).status, 404);
});

test("isolated, without inline script, nothing from elsewhere", async (t) => {
  const { coordinator } = await startTiny(t, { page: builtPage(t) });
  for (const path of ["/", "/assets/index-Ab3dEf_9.js", "/assets/ort-0123abcd.wasm"]) {
    const { headers } = await get(coordinator.url, path, BROWSER);
    assert.equal(headers["cross-origin-opener-policy"], "same-origin", path);
    assert.equal(headers["cross-origin-embedder-policy"], "require-corp", path);
    assert.equal(headers["cross-origin-resource-policy"], "same-origin", path);
    const policy = String(headers["content-security-policy"]);
    assert.match(policy, /default-src 'none'; script-src 'self' 'wasm-unsafe-eval';/);
    assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval(?<!wasm-unsafe-eval)|https?:|\*/);
  }
});

test("hashed files are kept for good, the page is asked for again and mostly not sent", async (t) => {
  const { coordinator } = await startTiny(t, { page: builtPage(t) });
  const script = await get(coordinator.url, "/assets/index-Ab3dEf_9.js");
  assert.match(String(script.headers["cache-control"]), /immutable/);
  assert.match(String(script.headers["content-type"]), /^text\/javascript/);
  const page = await get(coordinator.url, "/", BROWSER);
  assert.equal(page.headers["cache-control"], "no-cache");
  const again = { ...BROWSER, "if-none-match": String(page.headers["etag"]) };
  const { status, body } = await get(coordinator.url, "/", again);
  assert.deepEqual([status, body.length], [304, 0]);
});

test("compressed by the build or at the first request, and the plain length is told", async (t) => {
  const { coordinator } = await startTiny(t, { page: builtPage(t) });
  const { url } = coordinator;
  const path = "/assets/ort-0123abcd.wasm";
  const plain = await get(url, path);
  assert.equal(plain.headers["content-encoding"], undefined);
  assert.deepEqual(plain.body, WASM);
  const br = await get(url, path, { "accept-encoding": "gzip, br" });
  assert.equal(br.headers["content-encoding"], "br");
  assert.equal(br.headers["x-plain-length"], String(WASM.length));
  assert.equal(br.headers["content-type"], "application/wasm");
  const packed = await get(url, path, { "accept-encoding": "gzip;q=0.5" });
  assert.equal(packed.headers["content-encoding"], "gzip");
  assert.deepEqual(gunzipSync(packed.body), WASM);
});

test("no path leads out of the folder", async (t) => {
  const page = builtPage(t);
  const { coordinator } = await startTiny(t, { page });
  writeFileSync(join(page, "..", "manyhands-outside.txt"), "outside");
  const ways = ["/../manyhands-outside.txt", "/assets/../../manyhands-outside.txt"];
  const coded = ["/%2e%2e/manyhands-outside.txt", "/assets/..%2f..%2fmanyhands-outside.txt"];
  for (const path of [...ways, ...coded, "//etc/passwd", "/assets/%00"]) {
    const { status, body } = await get(coordinator.url, path);
    assert.ok(status >= 400, `${path}: ${status}`);
    assert.doesNotMatch(body.toString(), /outside|root:/);
  }
});

test("a folder without a page is refused in a sentence, before anything is served", (t) => {
  const folder = temporaryFolder(t);
  assert.throws(() => readPage(folder), /is not a built page: there is no index.html in it/);
  assert.throws(() => readPage(join(folder, "none")), /is not a built page: ENOENT/);
});
