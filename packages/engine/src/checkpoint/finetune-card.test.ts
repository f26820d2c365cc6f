// The card of a fine-tuned model states its facts, and no name breaks out of its place.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type FinetuneCard,
  finetuneCardText,
  licenseOfReadme,
  mergedCardText,
} from "./finetune-card.ts";

const CARD: FinetuneCard = {
  name: "shakespeare-lora",
  base: { name: "HuggingFaceTB/SmolLM2-135M", commit: "abc123", license: "apache-2.0" },
  kind: "adapter",
  architecture: "llama",
  data: [{ name: "plays.jsonl", format: "messages", examples: 1_200, tokens: 345_678 }],
  recipe: { rank: 16, rsLoRA: true, schedule: "cosine" },
  losses: { baseValidation: 4, validation: 3, training: 2.9, steps: 500, tokens: 1_000_000 },
  chatTemplate: true,
  license: null,
  devices: 4,
};

test("an adapter's card has base, data, recipe, losses, licence and three tools", () => {
  const text = finetuneCardText(CARD);
  const facts = [
    ...["plays.jsonl", "345 678", "4.0000", "3.0000", "−25.0 %", "1 000 000", "4 devices"],
    ...["apache-2.0", "abc123", "PeftModel.from_pretrained", "apply_chat_template"],
    ...[
      "manyhands gguf hf:HuggingFaceTB/SmolLM2-135M@abc123 --adapter .",
      "manyhands merge",
      "rsLoRA",
    ],
  ];
  for (const fact of facts) assert.ok(text.includes(fact), fact);
  assert.match(text, /^---\nlicense: "apache-2.0"\nbase_model: "HuggingFaceTB\/SmolLM2-135M"\n/);
  assert.match(text, /library_name: peft/);
});

test("a whole model's card loads it without peft; an architecture that llama.cpp lacks says so", () => {
  const text = finetuneCardText({ ...CARD, kind: "model", architecture: "bitnet" });
  assert.ok(!text.includes("peft"));
  assert.match(text, /library_name: transformers/);
  assert.match(text, /llama\.cpp does not compute bitnet/);
  const { losses: _, ...others } = CARD;
  const measured = finetuneCardText({ ...others, losses: { steps: 1, tokens: 2 } });
  assert.ok(!measured.includes("held out"));
});

test("no name breaks out of its place", () => {
  const name = 'x"\n---\n# owned\n```\nrm -rf / | <script>';
  const base = { name, license: "mit\n---" };
  const text = finetuneCardText({ ...CARD, name, base, recipe: { [name]: name } });
  const [, body = "", more] = text.split("\n---\n");
  assert.equal(more, undefined, "one front matter");
  const prose = body.split("```").filter((_, part) => part % 2 === 0);
  assert.ok(!prose.join("").includes("<script>") && !/^# owned/m.test(body), prose.join(""));
  assert.equal(body.split("```").length % 2, 1, "every fence is closed");
  assert.ok(!/^rm -rf/m.test(body));
});

test("a merged model's card carries the adapter's", () => {
  const adapterCard = finetuneCardText(CARD);
  const base = { name: "org/base" };
  const text = mergedCardText({ name: "m", base, license: "mit", adapterCard });
  assert.match(text, /^---\nlicense: "mit"\nbase_model: "org\/base"/);
  assert.ok(text.includes("## The adapter's card") && text.includes("plays.jsonl"));
  assert.equal(text.split("\n---\n").length, 2, "the adapter's front matter is gone");
  assert.ok(
    !mergedCardText({ name: "m", base, license: null, adapterCard: "" }).includes("adapter's"),
  );
});

test("a base's licence is what its front matter states, or nothing", () => {
  assert.equal(licenseOfReadme("---\nlicense: apache-2.0\ntags: x\n---\n# hi"), "apache-2.0");
  assert.equal(licenseOfReadme('---\ntags: x\nlicense: "mit"\r\n---\n'), "mit");
  assert.equal(licenseOfReadme("# license: mit"), null);
  assert.equal(licenseOfReadme("---\nlicense: [a, b]\n---"), null);
  assert.equal(licenseOfReadme(""), null);
});
