"""Checks exports with the real transformers, tokenizers and safetensors.

Reads plan.json (written by main.ts), prints one JSON line per check: {"name", "ok", "detail"}.
"""

import json
import os
import sys
import traceback

import numpy
import safetensors
import safetensors.numpy
import tokenizers
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

LOGITS_DIFFERENCE_MAX = 1e-4
LOSS_DIFFERENCE_MAX = 1e-3
BATCH = 64


def report(name: str, ok: bool, detail: str) -> None:
    print(json.dumps({"name": name, "ok": bool(ok), "detail": detail}), flush=True)


def check(name: str, function, *arguments) -> None:
    """Runs one check; an exception is a failed check, not the end of the others."""
    try:
        ok, detail = function(*arguments)
    except Exception as caught:  # every failure of a foreign library is a result here
        traceback.print_exc()
        ok, detail = False, f"{type(caught).__name__}: {caught}"[:300]
    report(name, ok, detail)


def loads(case, found):
    model, info = AutoModelForCausalLM.from_pretrained(case["folder"], output_loading_info=True)
    model.eval()
    found["model"] = model
    complaints = {key: value for key, value in info.items() if value}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    ok = not complaints and model.dtype == torch.float32
    ok = ok and type(model).__name__ == "LlamaForCausalLM"
    return ok, f"{type(model).__name__}, {parameters} parameters, complaints {complaints}"


def logits_agree(case, found):
    worst = 0.0
    for prompt in case["prompts"]:
        ids = torch.tensor([prompt["ids"]])
        ours = torch.from_numpy(numpy.fromfile(prompt["logits"], dtype="<f4"))
        with torch.inference_mode():
            theirs = found["model"](ids).logits[0]
        worst = max(worst, (theirs - ours.reshape(theirs.shape)).abs().max().item())
    return worst <= LOGITS_DIFFERENCE_MAX, f"largest difference {worst:.2e}"


def windows_loss(model, tokens, length):
    """Every token but the first, predicted once in non-overlapping windows of `length` inputs."""
    total = 0.0
    full = (len(tokens) - 1) // length
    inputs = list(tokens[: full * length].reshape(full, length).split(BATCH))
    targets = list(tokens[1 : full * length + 1].reshape(full, length).split(BATCH))
    if full * length < len(tokens) - 1:
        inputs.append(tokens[full * length : -1].reshape(1, -1))
        targets.append(tokens[full * length + 1 :].reshape(1, -1))
    for ids, wanted in zip(inputs, targets, strict=True):
        with torch.inference_mode():
            logits = model(ids).logits
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), wanted.flatten(), reduction="none"
        )
        total += losses.double().sum().item()
    return total / (len(tokens) - 1)


def loss_agrees(case, found):
    data = numpy.fromfile(case["data"], dtype=numpy.uint8)[case["validationStart"] :]
    tokens = torch.from_numpy(data.astype(numpy.int64))
    loss = windows_loss(found["model"], tokens, case["contextLength"])
    ours, claimed = case["valLoss"], case["claimedLoss"]
    ok = abs(loss - ours) <= LOSS_DIFFERENCE_MAX
    detail = f"transformers {loss:.6f}, engine {ours:.6f}, {len(tokens) - 1} bytes predicted"
    if claimed is not None:
        ok = ok and abs(loss - claimed) <= LOSS_DIFFERENCE_MAX
        detail += f", the run's summary {claimed:.6f}"
    return ok, detail


def tensors_agree(case, found):
    """The safetensors library sees what transformers loaded; a tied head is not in the file."""
    path = os.path.join(case["folder"], "model.safetensors")
    state = found["model"].state_dict()
    tied = found["model"].config.tie_word_embeddings
    with safetensors.safe_open(path, framework="numpy") as file:
        names = set(file.keys())
        expected = set(state) - ({"lm_head.weight"} if tied else set())
        same = all(numpy.array_equal(file.get_tensor(name), state[name].numpy()) for name in names)
        metadata = file.metadata()
    ok = names == expected and same and metadata == {"format": "pt"}
    return ok, f"{len(names)} tensors, tied {tied}, metadata {metadata}"


def generates(case, found):
    """Greedy decoding with transformers' cache gives what its full forward gives."""
    ids = torch.tensor([case["prompts"][1]["ids"]])
    count = min(8, case["contextLength"] - ids.shape[1])
    model = found["model"]
    out = model.generate(ids, do_sample=False, max_new_tokens=count, attention_mask=ids * 0 + 1)
    longer = ids
    for _ in range(count):
        with torch.inference_mode():
            following = model(longer).logits[:, -1:].argmax(-1)
        longer = torch.cat([longer, following], dim=1)
    return out.tolist() == longer.tolist(), f"{count} tokens"


def saves(case, found):
    found["model"].save_pretrained(case["savedFolder"])
    return True, case["savedFolder"].rsplit("/", 1)[-1]


def tokenizer_loads(case, found):
    tokenizer = AutoTokenizer.from_pretrained(case["folder"])
    found["tokenizer"] = tokenizer
    raw = tokenizers.Tokenizer.from_file(os.path.join(case["folder"], "tokenizer.json"))
    sizes = (len(tokenizer), tokenizer.vocab_size, raw.get_vocab_size())
    return sizes == (256, 256, 256), f"{type(tokenizer).__name__}, sizes {sizes}"


def round_trips(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    return ids == list(text.encode("utf-8")) and tokenizer.decode(ids) == text


def corpus_round_trips(case, found):
    with open(case["data"], encoding="utf-8", newline="") as file:
        text = file.read()
    return round_trips(found["tokenizer"], text), f"{len(text)} characters"


def hostile_round_trip(texts, found):
    broken = [text[:40] for text in texts if not round_trips(found["tokenizer"], text)]
    return not broken, f"{len(texts)} texts, broken {broken}"


def invalid_decodes(decodings, found):
    wrong = [
        each["ids"][:12]
        for each in decodings
        if found["tokenizer"].decode(each["ids"]) != each["text"]
    ]
    return not wrong, f"{len(decodings)} byte strings as our decoder reads them, wrong {wrong}"


def write_tensors(work):
    """A file for our reader: scalars, empty tensors, special values, any names."""
    random = numpy.random.default_rng(7)
    special = [0.0, -0.0, numpy.inf, -numpy.inf, numpy.nan, 1e-45, 3.4e38]
    tensors = {
        "matrix": random.standard_normal((17, 5), dtype=numpy.float32),
        "scalar": numpy.array(2.5, dtype=numpy.float32),
        "empty": numpy.zeros((0, 3), dtype=numpy.float32),
        "special": numpy.array(special, dtype=numpy.float32),
        "ünïcode ☃": random.standard_normal((2, 3, 4), dtype=numpy.float32),
    }
    path = os.path.join(work, "python.safetensors")
    safetensors.numpy.save_file(tensors, path, metadata={"who": "Python ☃"})
    for name, values in tensors.items():
        values.astype("<f4").tofile(os.path.join(work, f"python-{name}.f32"))
    shapes = {name: list(values.shape) for name, values in tensors.items()}
    with open(os.path.join(work, "python-shapes.json"), "w", encoding="utf-8") as file:
        json.dump(shapes, file)
    return True, f"{len(tensors)} tensors"


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    versions = f"torch {torch.__version__}, tokenizers {tokenizers.__version__}"
    report(f"transformers {transformers.__version__}", True, versions)
    check("Python writes safetensors", write_tensors, plan["work"])
    for case in plan["cases"]:
        found = {}
        name = case["name"]
        check(f"{name}: transformers loads it", loads, case, found)
        check(f"{name}: logits agree to {LOGITS_DIFFERENCE_MAX}", logits_agree, case, found)
        check(f"{name}: loss agrees to {LOSS_DIFFERENCE_MAX}", loss_agrees, case, found)
        check(f"{name}: tensors in model.safetensors", tensors_agree, case, found)
        check(f"{name}: transformers generates", generates, case, found)
        check(f"{name}: transformers saves it again", saves, case, found)
        check(f"{name}: AutoTokenizer", tokenizer_loads, case, found)
        check(f"{name}: tokenizer round-trips the corpus", corpus_round_trips, case, found)
        check(f"{name}: hostile texts round-trip", hostile_round_trip, plan["texts"], found)
        check(f"{name}: invalid UTF-8 decodes", invalid_decodes, plan["decodings"], found)


if __name__ == "__main__":
    main()
