"""A tiny Qwen2 with a chat template for finetune.ts to fine-tune; then, with transformers and peft, what it must have made.

Usage: finetune.py make <folder>     model, tokenizer and chats.jsonl
       finetune.py check <folder>    against rows.json and the adapter that finetune.ts left there; prints JSON
"""
import json
import pathlib
import random
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

import text

SIZES = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=128, tie_word_embeddings=True)


def make(folder):
    for name, backend, names, template in text.cases(600):
        if name == "smollm2":
            tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **names)
            tokenizer.chat_template = template
    torch.manual_seed(3)
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), **SIZES))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    draw = random.Random(5)
    lines = []
    for i in range(60):
        a, b = draw.randrange(50), draw.randrange(50)
        turns = [{"role": "user", "content": f"What is {a} + {b}? {draw.choice(['', '🙂', '<|im_end|>', '  漢字'])}"},
                 {"role": "assistant", "content": f"{a + b}"}] * (1 + i % 2)
        lines.append(json.dumps({"messages": turns}))
    (folder / "chats.jsonl").write_text("\n".join(lines) + "\n")


def expected_rows(folder, tokenizer, safe):
    """Ids and what is counted, of every conversation that writes no control token: there transformers does as we do."""
    rows = []
    for line in (folder / "chats.jsonl").read_text().splitlines():
        messages = json.loads(line)["messages"]
        if any("<|im_end|>" in message["content"] for message in messages) == safe:
            continue
        out = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        rows.append([out["input_ids"], out["assistant_masks"]])
    return rows


def mean_loss(model, rows):
    total, count = 0.0, 0
    with torch.no_grad():
        for tokens, targets in rows:
            logits = model(torch.tensor([tokens])).logits[0].double()
            targets = torch.tensor(targets)
            total += torch.nn.functional.cross_entropy(logits, targets, ignore_index=-1, reduction="sum").item()
            count += int((targets >= 0).sum())
    return total / count


def check(folder):
    rows = json.loads((folder / "rows.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(folder / "run" / "adapter")
    base = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    before = mean_loss(base, rows)
    tuned = PeftModel.from_pretrained(base, folder / "run" / "adapter").eval()
    after = mean_loss(tuned, rows)
    merged = AutoModelForCausalLM.from_pretrained(folder / "merged", dtype=torch.float32)
    print(json.dumps(dict(chats=expected_rows(folder, tokenizer, True), before=before, after=after,
                          merged=mean_loss(merged, rows), control=tokenizer.eos_token_id)))


{"make": make, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
