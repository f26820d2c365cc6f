// Lines of data files: what each kind means, and the sentence for each that means nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseExample } from "./examples.ts";

const chat = (value: unknown): string => JSON.stringify({ messages: value });

test("text, conversations and completions are examples, with or without further members", () => {
  assert.deepEqual(parseExample('{"text": "a", "id": 7}'), {
    ok: true,
    value: { kind: "text", text: "a" },
  });
  const messages = [
    { role: "user", content: "q" },
    { role: "assistant", content: "a", weight: 1 },
  ];
  const conversation = { ok: true, value: { kind: "chat", conversation: { messages } } };
  assert.deepEqual(parseExample(chat(messages)), conversation);
  const parts = { prompt: messages.slice(0, 1), completion: messages.slice(1) };
  assert.deepEqual(parseExample(JSON.stringify(parts)), conversation);
  assert.deepEqual(parseExample('{"prompt": "", "completion": "c"}'), {
    ok: true,
    value: { kind: "completion", prompt: "", completion: "c" },
  });
});

test("what is none says why", () => {
  const cases: readonly [string, RegExp][] = [
    ["{", /is no JSON/],
    ["7", /is 7, not an object/],
    ['{"body": "x", "title": "y"}', /only "body", "title"/],
    ['{"text": 5}', /"text" is 5, not text/],
    ['{"text": ""}', /"text" is empty/],
    ['{"prompt": "p"}', /"completion" is nothing/],
    ['{"prompt": "p", "completion": ""}', /"completion" is empty/],
    [chat("hi"), /"messages" is "hi", not a list/],
    [chat([]), /"messages" is empty/],
    [chat([{ role: "user", content: "x" }, 3]), /message 2 is 3/],
    [chat([{ content: "x" }]), /message 1 has no "role"/],
    [chat([{ role: "user", content: 5 }]), /message 1 has 5 as "content"/],
  ];
  for (const [line, sentence] of cases) {
    const found = parseExample(line);
    assert.ok(!found.ok, line);
    assert.match(found.error, sentence);
  }
});

test("any line is an example or a reason, never an exception", () => {
  const value = fc.oneof(
    fc.json(),
    fc.string(),
    fc.json().map((json) => `{"messages":[${json}]}`),
  );
  fc.assert(
    fc.property(value, (line) => {
      const found = parseExample(line);
      assert.ok(found.ok || found.error.length > 0);
    }),
  );
});
