// `manyhands sample`: in the model's own form of a conversation, to where its makers stop.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { runCommand } from "../main.ts";
import { PLAIN } from "../terminal/style.ts";
import { writeTinyModel } from "../testing/tiny-model.ts";

const QWEN = new URL("../../../../vectors/engine/tokenizers/qwen.json", import.meta.url);
const VOCABULARY = 1_024;
const TEMPLATE =
  "{% for m in messages %}{% if m.content == 'forbidden' %}{{ raise_exception('not that') }}" +
  "{% endif %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

let root: string;
let model: string;
before(() => {
  root = mkdtempSync(join(tmpdir(), "manyhands-sample-"));
  model = join(root, "model");
  const { tokenizer } = JSON.parse(readFileSync(QWEN, "utf8"));
  writeTinyModel(model, {
    tokenizer: { json: JSON.stringify(tokenizer), vocabSize: VOCABULARY },
  });
});
after(() => rmSync(root, { recursive: true, force: true }));

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

async function sample(...words: readonly string[]): Promise<Ended> {
  let [stdout, stderr] = ["", ""];
  const code = await runCommand(["sample", model, "--tokens", "12", ...words], {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    environment: { HOME: root },
    paint: PLAIN,
    errorPaint: PLAIN,
  });
  return { code, stdout, stderr };
}

test("a conversation has the model's template, a system's words, and a form of its own", async () => {
  const refused = await sample("--prompt", "hello", "--chat");
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /no chat template[\s\S]*--chat-template FILE/);
  const early = await sample("--prompt", "hello", "--system", "be kind");
  assert.match(early.stderr, /for conversations: add --chat/);
  writeFileSync(join(model, "chat_template.jinja"), TEMPLATE);
  const told = await sample("--prompt", "forbidden", "--chat");
  assert.match(told.stderr, /chat template refuses it: not that/);
  const texts = new Set<string>();
  for (const words of [[], ["--chat"], ["--chat", "--system", "be kind"]]) {
    const { code, stdout, stderr } = await sample("--json", "--prompt", "hello", ...words);
    assert.equal(code, 0, stderr);
    texts.add(JSON.parse(stdout).text);
  }
  assert.equal(texts.size, 3, "what comes before the answer changes it");
  const given = join(root, "mine.jinja");
  writeFileSync(given, "{{ raise_exception('mine') }}");
  const mine = await sample("--prompt", "x", "--chat", "--chat-template", given);
  assert.match(mine.stderr, /refuses it: mine/);
});

test("writing stops after the tokens that generation_config.json names", async () => {
  const text = async (): Promise<string> =>
    JSON.parse((await sample("--json", "--prompt", "hello")).stdout).text;
  assert.ok((await text()).length > 0);
  const all = Array.from({ length: VOCABULARY }, (_, id) => id);
  const file = join(model, "generation_config.json");
  writeFileSync(file, JSON.stringify({ eos_token_id: all }));
  assert.equal(await text(), "");
  writeFileSync(file, "[");
  assert.match((await sample("--prompt", "x")).stderr, /generation_config\.json is no JSON/);
});
