"""One step of the real peft on each checkpoint of models.py: loss and gradients of the adapters, with half of the targets masked.

peft_steps.py <models' folder> <work folder>: per case a folder with `adapter` (as peft saves it), step.json (tokens, targets, loss, where the
model is) and gradients.safetensors by the names that peft saves.
"""

import json
import pathlib
import sys

import safetensors.torch
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

OPTIONS = {
    "LoRA": dict(r=4, lora_alpha=8, target_modules="all-linear"),
    "rsLoRA": dict(r=3, lora_alpha=5, use_rslora=True),
    "DoRA": dict(r=4, lora_alpha=8, target_modules="all-linear", use_dora=True),
}
SOME_TARGETS = {"gpt2": ["c_attn", "mlp.c_proj"]}
MASKED = -100


def saved_name(name):
    plain = name.replace(".default", "")
    return plain.removesuffix(".weight") if "lora_magnitude_vector" in plain else plain


def step(folder, option, work):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    torch.nn.Module.float(model)
    kind = model.config.model_type
    fields = dict(OPTIONS[option])
    fields.setdefault("target_modules", SOME_TARGETS.get(kind, ["q_proj", "v_proj", "down_proj"]))
    torch.manual_seed(3)
    config = LoraConfig(**fields, task_type="CAUSAL_LM", init_lora_weights=False, fan_in_fan_out=kind == "gpt2")
    tuned = get_peft_model(model, config)
    tuned.train()
    tokens = torch.randint(0, model.config.vocab_size, (2, 12))
    targets = torch.randint(0, model.config.vocab_size, (2, 12))
    targets[:, ::2] = MASKED
    targets[0, :5] = MASKED
    logits = tuned(tokens).logits.float()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=MASKED)
    loss.backward()
    gradients = {saved_name(name): p.grad.contiguous() for name, p in tuned.named_parameters() if p.requires_grad}
    tuned.save_pretrained(work / "adapter")
    safetensors.torch.save_file(gradients, work / "gradients.safetensors")
    plain = targets.where(targets >= 0, torch.full_like(targets, -1))
    facts = {"model": str(folder), "tokens": tokens.tolist(), "targets": plain.tolist(), "loss": loss.item()}
    (work / "step.json").write_text(json.dumps(facts))


def main(models, work):
    for folder in sorted(models.iterdir()):
        # Packed BitNet has no gradient in transformers; the same matrices online do.
        if "packed" in folder.name:
            continue
        for option in OPTIONS:
            if option == "DoRA" and "BitNet" in folder.name:
                continue
            own = work / f"{folder.name}, {option}"
            own.mkdir(parents=True)
            step(folder / "model", option, own)


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
