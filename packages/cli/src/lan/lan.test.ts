import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:https";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import type { Coordinator } from "@manyhands/coordinator/serve";
import { startTiny } from "@manyhands/coordinator/testing/wire";
import { COLOURS, PLAIN } from "../terminal/style.ts";
import { lanCertificate } from "./certificate.ts";
import { announceLan, lanPort } from "./lan.ts";

async function startSecure(t: TestContext): Promise<{ coordinator: Coordinator; ca: string }> {
  const folder = mkdtempSync(join(tmpdir(), "manyhands-lan-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const made = await lanCertificate({ folder, addresses: ["127.0.0.1"], now: new Date() });
  const { coordinator } = await startTiny(t, { secure: { ...made, port: 0 } });
  return { coordinator, ca: made.certificate };
}

function get(url: string, ca: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { ca, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => (body += text));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on("error", reject).end();
  });
}

test("over TLS the same run answers, and its traffic is counted", async (t) => {
  const { coordinator, ca } = await startSecure(t);
  const url = new URL(coordinator.secureJoinUrl ?? "");
  assert.equal(url.hash.slice(1), coordinator.admissionToken);
  url.hash = "";
  const { status, body } = await get(url.href, ca);
  assert.equal(status, 200);
  assert.equal(JSON.parse(body).runId, coordinator.runId);
  assert.equal((await get(new URL("/runs", url).href, ca)).status, 200);
});

test("a control connection opens over TLS", async (t) => {
  const { coordinator, ca } = await startSecure(t);
  const url = new URL(coordinator.secureJoinUrl ?? "");
  const answer = await new Promise<string>((resolve, reject) => {
    const headers = { connection: "Upgrade", upgrade: "websocket" };
    const key = { "sec-websocket-version": "13", "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==" };
    const sent = request(new URL(`${url.pathname}/socket`, url), {
      ca,
      agent: false,
      headers: { ...headers, ...key },
    });
    sent.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve(`${response.statusCode}`);
    });
    sent.on("response", (response) => reject(new Error(`${response.statusCode}`)));
    sent.on("error", reject).end();
  });
  assert.equal(answer, "101");
});

test("who does not speak TLS, or does not trust, is let go; the others go on", async (t) => {
  const { coordinator, ca } = await startSecure(t);
  const { port, href } = new URL(coordinator.secureJoinUrl ?? "");
  await new Promise((resolve) => {
    const plain = connectTcp(Number(port), "127.0.0.1", () =>
      plain.write("GET / HTTP/1.1\r\n\r\n"),
    );
    plain
      .on("close", resolve)
      .on("error", () => undefined)
      .resume();
  });
  await new Promise((resolve) => {
    connectTls({ host: "127.0.0.1", port: Number(port) }).on("error", resolve);
  });
  assert.equal((await get(href, ca)).status, 200);
});

test("closing ends connections that are open", async (t) => {
  const { coordinator, ca } = await startSecure(t);
  const { port } = new URL(coordinator.secureJoinUrl ?? "");
  const socket = connectTls({ host: "127.0.0.1", port: Number(port), ca });
  const ended = new Promise((resolve) => socket.on("close", resolve));
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.on("secureConnect", resolve));
  await coordinator.close();
  await ended;
});

test("the code is drawn as text, in colours that cameras read where there are colours", () => {
  const lan = { key: "", certificate: "", fingerprint: "AB:CD", isNew: true, host: "192.168.7.5" };
  const url = `https://192.168.7.5:7443/runs/${"ab".repeat(32)}#token`;
  for (const paint of [PLAIN, COLOURS]) {
    const lines: string[] = [];
    announceLan(lan, url, { say: (text) => void lines.push(text), paint });
    assert(lines.includes(`  ${url}`) && lines.includes("  AB:CD"));
    const code = lines.filter((line) => line.includes("█"));
    assert(code.length > 15, `${code.length} lines`);
    assert.equal(
      code.every((line) => line.includes("\u001b")),
      paint === COLOURS,
    );
  }
});

test("the port for HTTPS lies beside the one for HTTP", () => {
  assert.deepEqual([7433, 0, 65_530].map(lanPort), [7443, 0, 0]);
});
