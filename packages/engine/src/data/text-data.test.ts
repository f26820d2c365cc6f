// Data files made batches: what is learnt, what is held out, what is left out, and that a row is a
// function of (seed, index) alone.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { InputError } from "@manyhands/base/errors";
import fc from "fast-check";
import { ModelTokenizer } from "../tokenizer/model-tokenizer.ts";
import { byteTokenizer, type TextTokenizer } from "../tokenizer/text-tokenizer.ts";
import { type LoadedTextData, loadTextData } from "./node-text-data.ts";
import { NOT_COUNTED, type TextBatch, type TextBatches } from "./text-batches.ts";
import type { TextDataOptions } from "./text-data.ts";

const folder = mkdtempSync(join(tmpdir(), "manyhands-text-"));
after(() => rmSync(folder, { recursive: true }));

function tokenizerOf(name: string): TextTokenizer {
  const url = new URL(`../../../../vectors/engine/tokenizers/${name}.json`, import.meta.url);
  const { tokenizer, config, chatTemplate } = JSON.parse(readFileSync(url, "utf8"));
  const text = { tokenizer: JSON.stringify(tokenizer), config: JSON.stringify(config) };
  return new ModelTokenizer({ ...text, chatTemplate });
}

const QWEN = tokenizerOf("qwen");
const OPTIONS: TextDataOptions = {
  tokenizer: QWEN,
  sequence: 16,
  layout: "packed",
  loss: "assistant",
  seed: 1,
  validationShare: 0,
};

function load(
  name: string,
  lines: readonly (string | object)[],
  options: Partial<TextDataOptions> = {},
): Promise<LoadedTextData> {
  const path = join(folder, name);
  const text = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line)));
  writeFileSync(path, text.join("\n"));
  return loadTextData([path], { ...OPTIONS, ...options });
}

/** What the counted targets of all rows say, row by row. */
function learnt(batches: TextBatches, tokenizer = QWEN): string[] {
  return [...batches.inOrder(1)].map(({ targets }) =>
    tokenizer.decode(targets.filter((target) => target !== NOT_COUNTED)),
  );
}

function rows(batches: TextBatches, first: number, count: number): TextBatch {
  const size = count * batches.sequence;
  const out = { tokens: new Int32Array(size), targets: new Int32Array(size) };
  batches.fill(first, count, out);
  return out;
}

const CHAT = {
  messages: [
    { role: "user", content: "What <|im_end|> is it?" },
    { role: "assistant", content: "A tree." },
  ],
};

test("of a conversation the assistant's turn is learnt, of a completion the completion", async () => {
  const padded = { layout: "padded", sequence: 200 } as const;
  const chat = await load("chat.jsonl", [CHAT], padded);
  assert.deepEqual(learnt(chat.train), ["A tree.<|im_end|>\n"]);
  const completion = { prompt: "1, 2, 3,", completion: " 4" };
  const next = await load("completion.jsonl", [completion], padded);
  assert.deepEqual(learnt(next.train), [" 4<|im_end|>"]);
  const all = await load("chat.jsonl", [CHAT], { ...padded, loss: "all" });
  assert.match(learnt(all.train)[0] ?? "", /^system\nYou are helpful.*A tree.<\|im_end\|>\n$/s);
  const [row] = [...chat.train.inOrder(1)];
  assert.equal(row?.tokens.filter((id) => id === QWEN.eosId).length, 3, "the template's own only");
});

test("BOS begins a text and is never learnt, EOS ends it and is", async () => {
  const tokenizer = tokenizerOf("llama2");
  const options = { tokenizer, layout: "padded", sequence: 64 } as const;
  const { train } = await load("text.jsonl", [{ text: "one" }, { text: "two" }], options);
  const [row] = [...train.inOrder(1)];
  assert.equal(row?.tokens[0], tokenizer.bosId);
  assert.deepEqual(learnt(train, tokenizer), ["one</s>", "two</s>"]);
});

test("bad lines are named and counted, and end it only if strict", async () => {
  const deep = `{"messages":[{"role":"user","content":${"[".repeat(1e5)}${"]".repeat(1e5)}}]}`;
  const nested = await load("deep.jsonl", [deep, CHAT]);
  assert.match(nested.facts.badLines[0]?.reason ?? "", /nested too deeply/);
  const lines = [{ text: "fine" }, "{", "", { text: 1 }, { messages: [CHAT.messages[0]] }, CHAT];
  const { facts, files } = await load("bad.jsonl", lines);
  assert.deepEqual(
    facts.badLines.map(({ line }) => line),
    [2, 4, 5],
  );
  assert.match(facts.badLines[2]?.reason ?? "", /no assistant's turn/);
  assert.deepEqual([facts.documents, facts.badLineCount, files[0]?.lines], [2, 3, 6]);
  await assert.rejects(load("bad.jsonl", lines, { strict: true }), (error) => {
    return error instanceof InputError && /bad.jsonl, line 2: is no JSON/.test(error.message);
  });
  await assert.rejects(load("none.jsonl", ["{", "["]), /no line to learn from; none.jsonl, line 1/);
});

test("a line of 16 MiB is read, a longer one is a bad line, and the next is read again", async () => {
  const line = (length: number): string => "x".repeat(length);
  const lines = [line(2 ** 24), line(2 ** 24 + 1), { text: "short" }];
  const { facts } = await load("lines.jsonl", lines);
  assert.equal(facts.documents, 1);
  assert.deepEqual(
    facts.badLines.map(({ line, reason }) => [line, reason.slice(0, 14)]),
    [
      [1, "is no JSON: Un"],
      [2, "is longer than"],
    ],
  );
});

test("a file's facts are its bytes, its lines and its SHA-256", async () => {
  const { files } = await load("facts.jsonl", [{ text: "a" }, { text: "b" }]);
  const bytes = readFileSync(join(folder, "facts.jsonl"));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const counts = { bytes: bytes.length, lines: 2, sha256 };
  const read = { documents: 2, tokens: 3 }; // the last EOS comes with the end of all files
  assert.deepEqual(files, [{ name: "facts.jsonl", format: "jsonl", ...counts, ...read }]);
});

test("held out is one document in so many, by the seed, and no token is in both parts", async () => {
  const lines = Array.from({ length: 40 }, (_, i) => ({ text: `document ${i};` }));
  const options = { layout: "padded", sequence: 64, validationShare: 0.1 } as const;
  const [one, again, other] = await Promise.all([
    load("held-1.jsonl", lines, options),
    load("held-2.jsonl", lines, options),
    load("held-3.jsonl", lines, { ...options, seed: 2 }),
  ]);
  assert(one.validation && again.validation && other.validation);
  assert.equal(one.facts.validationDocuments, 4);
  assert.deepEqual(learnt(one.validation), learnt(again.validation));
  assert.notDeepEqual(learnt(one.validation), learnt(other.validation));
  const all = [...learnt(one.train), ...learnt(one.validation)];
  assert.equal(new Set(all).size, 40);
});

test("of a single text its end is held out, of few documents the last", async () => {
  const tokenizer = byteTokenizer();
  const text = "0123456789".repeat(20);
  const options = { tokenizer, validationShare: 0.1, sequence: 16 };
  const one = await load("one.txt", [text], options);
  assert.deepEqual([one.facts.tokens, one.facts.validationTokens], [180, 21], "with a new line");
  const few = await load("few.jsonl", [{ text: "a" }, { text: "b" }], {
    ...options,
    layout: "padded",
    validationShare: 0.02,
  });
  assert.equal(few.facts.validationDocuments, 1);
});

test("a text that is read in parts has the tokens of the whole", async () => {
  const line = "Some words, and 12 numbers; then\n\n  more.\n";
  const text = line.repeat(Math.ceil(1_200_000 / line.length));
  const { train, facts } = await load("long.txt", [text], { sequence: 1_000 });
  const whole = QWEN.encode(text);
  const inOrder = [...train.inOrder(1)].flatMap(({ tokens }) => [...tokens]);
  assert.equal(facts.tokens, whole.length + 1);
  assert.deepEqual(inOrder.slice(0, whole.length), whole);
});

test("packed rows predict every token but the first once; padded rows every counted one", () => {
  const word = fc.stringMatching(/^[a-z ]{1,30}$/);
  const layout = fc.constantFrom("packed" as const, "padded" as const);
  const property = fc.asyncProperty(
    fc.array(word, { minLength: 2, maxLength: 8 }),
    layout,
    fc.integer({ min: 1, max: 12 }),
    async (words, layout, sequence) => {
      const lines = words.map((text) => ({ text }));
      const { train, facts } = await load("any.jsonl", lines, { layout, sequence, loss: "all" });
      const targets = [...train.inOrder(3)].flatMap((batch) => [...batch.targets]);
      const counted = targets.filter((target) => target !== NOT_COUNTED).length;
      const firsts = layout === "packed" ? 1 : facts.documents;
      assert.equal(counted, facts.counted - firsts);
    },
  );
  return fc.assert(property, { numRuns: 40 });
});

test("a row is a function of (seed, index): any order of asking gives the same", async () => {
  const lines = Array.from({ length: 30 }, (_, i) => ({
    text: `the text number ${i}. `.repeat(3),
  }));
  for (const layout of ["packed", "padded"] as const) {
    const { train } = await load(`rows-${layout}.jsonl`, lines, { layout });
    const many = rows(train, 0, 300);
    for (const i of [299, 0, 17, 150]) {
      const one = rows(train, i, 1);
      assert.deepEqual(one.tokens, many.tokens.slice(i * 16, (i + 1) * 16));
      assert.deepEqual(one.targets, many.targets.slice(i * 16, (i + 1) * 16));
    }
    const other = await load(`rows-${layout}.jsonl`, lines, { layout, seed: 9 });
    assert.notDeepEqual(rows(other.train, 0, 300), many);
    assert.throws(() => train.fill(0, 2, rows(train, 0, 1)), /2 × 16/);
  }
});

test("every packed row teaches something, however long the prompts", async () => {
  const line = { prompt: "x ".repeat(60), completion: "yes" };
  const { train } = await load("prompts.jsonl", [line, line, line, line]);
  for (let i = 0; i < 4 * train.rowsPerEpoch; i++) {
    assert.ok(
      rows(train, i, 1).targets.some((target) => target !== NOT_COUNTED),
      `row ${i}`,
    );
  }
});

test("what cannot be data is an input error with a hint", async () => {
  writeFileSync(join(folder, "latin1.txt"), Buffer.from([0x61, 0x0a, 0xe9, 0x0a]));
  writeFileSync(join(folder, "empty.txt"), "");
  writeFileSync(join(folder, "table.csv"), "a,b");
  const cases: readonly [string, RegExp][] = [
    ["latin1.txt", /latin1.txt is no UTF-8 text/],
    ["empty.txt", /is empty/],
    ["table.csv", /of no kind that is known/],
    ["missing.txt", /there is no/],
  ];
  for (const [name, sentence] of cases) {
    await assert.rejects(loadTextData([join(folder, name)], OPTIONS), (error) => {
      assert.ok(error instanceof InputError && error.hint, String(error));
      assert.match(error.message, sentence);
      return true;
    });
  }
  const chat = load("c.jsonl", [CHAT], { tokenizer: byteTokenizer() });
  await assert.rejects(chat, /no chat template/);
  const asked = await load("c.jsonl", [CHAT], {
    author: "control",
    layout: "padded",
    sequence: 99,
  });
  const [row] = [...asked.train.inOrder(1)];
  assert.equal(row?.tokens.filter((id) => id === QWEN.eosId).length, 4, "asked for");
});
