// A coordinator's answers, also of one that would like to harm who asks.
import { deepEqual, equal, rejects } from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { type TestContext, test } from "node:test";
import { CommandError } from "../terminal/failure.ts";
import { ask } from "./run-http.ts";

const LIMIT = { timeout: 30_000 };
const PIECE = new Uint8Array(1_024 * 1_024);

async function serving(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/`;
}

test("an answer is read whole; a no has its words", LIMIT, async (t) => {
  const url = await serving(t, (request, response) => {
    const isWelcome = request.headers.authorization === "Bearer token";
    response.writeHead(isWelcome ? 201 : 403).end(isWelcome ? '{"a":1}' : "who are you?");
  });
  const answer = await ask(url, "token", { method: "POST", body: "{}" });
  deepEqual([answer.status, await answer.json()], [201, { a: 1 }]);
  await rejects(ask(url, "other"), /answered with status 403: who are you\?/);
});

test("an answer without end is not taken", LIMIT, async (t) => {
  let given = 0;
  const url = await serving(t, (_, response) => {
    const more = (): void => {
      given += 1;
      if (!response.destroyed) response.write(PIECE, more);
    };
    more();
  });
  const found = await ask(url, "token").catch((caught: unknown) => caught);
  equal(found instanceof CommandError && /longer than 67108864 bytes/.test(found.message), true);
  equal(given < 200, true, "no more is read than is needed to see it");
});

test("nobody there: a sentence", LIMIT, async () => {
  await rejects(ask("http://127.0.0.1:9/", "token"), /no answer from http:\/\/127\.0\.0\.1:9\//);
});
