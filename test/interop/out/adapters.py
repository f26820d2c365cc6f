"""Adapters and merged models against the real peft and transformers, GGUF files against the gguf package.

adapters.py <plan.json>: loads what the plan names, and prints one JSON line per check: {"name", "ok", "detail"}. With "make", it also
writes adapters by peft, each with its logits, for our reader.
"""

import json
import pathlib
import sys

import gguf
import numpy
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

LOGITS_DIFFERENCE_MAX = 1e-3


def report(name, ok, detail):
    print(json.dumps({"name": name, "ok": bool(ok), "detail": detail}), flush=True)


def check(name, function, *arguments):
    try:
        ok, detail = function(*arguments)
    except Exception as caught:  # every failure of a foreign library is a result here
        ok, detail = False, f"{type(caught).__name__}: {caught}"[:400]
    report(name, ok, detail)


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def logits_of(model, tokens):
    with torch.inference_mode():
        return model(torch.tensor([tokens])).logits[0]


def difference(theirs, path):
    ours = torch.from_numpy(numpy.fromfile(path, dtype="<f4")).reshape(theirs.shape)
    worst = (theirs - ours).abs().max().item()
    return worst <= LOGITS_DIFFERENCE_MAX, f"logits differ by at most {worst:.1e}"


def adapter_loads(case):
    model = PeftModel.from_pretrained(load(case["base"]), case["adapter"]).eval()
    # peft leaves what a file lacks as it is: every tensor must have been in it.
    state = {name.replace(".default", ""): p for name, p in model.named_parameters() if "lora_" in name}
    file = gguf_free_names(case["adapter"])
    missing = {name.removesuffix(".weight") for name in state} ^ {name.removesuffix(".weight") for name in file}
    ok, detail = difference(logits_of(model, case["tokens"]), case["logits"])
    plain = (logits_of(load(case["base"]), case["tokens"]) - logits_of(model, case["tokens"])).abs().max().item()
    return ok and not missing and plain > 0.1, f"{detail}; {len(file)} tensors, the adapter moves logits by {plain:.2f} {missing or ''}"


def gguf_free_names(folder):
    import safetensors

    with safetensors.safe_open(pathlib.Path(folder) / "adapter_model.safetensors", "numpy") as file:
        return list(file.keys())


def merged_loads(case):
    model, info = AutoModelForCausalLM.from_pretrained(case["merged"], output_loading_info=True, attn_implementation="eager")
    complaints = {key: value for key, value in info.items() if value}
    dtype = str(model.dtype)
    ok, detail = difference(logits_of(model.float().eval(), case["tokens"]), case["mergedLogits"])
    return ok and not complaints and dtype == f"torch.{case['mergedType']}", f"{detail}; {dtype}, complaints {complaints}"


def make_adapter(case):
    """An adapter as peft initialises and saves it, but with B that does something."""
    base = load(case["base"])
    config = LoraConfig(r=5, lora_alpha=7, lora_dropout=0.1, target_modules=case["targets"], use_rslora=case["rslora"],
                        use_dora=case["dora"], task_type="CAUSAL_LM")
    torch.manual_seed(3)
    model = get_peft_model(base, config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
            if "magnitude" in name:
                parameter.mul_(1.1)
    model.save_pretrained(case["folder"])
    logits_of(model, case["tokens"]).numpy().astype("<f4").tofile(case["logits"])
    return True, str(pathlib.Path(case["folder"]).name)


def gguf_reads(case):
    """Every tensor, dequantised by gguf's own code, is what we say it is."""
    reader = gguf.GGUFReader(case["file"])
    expected = numpy.fromfile(case["values"], dtype="<f4")
    offset, kinds = 0, set()
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype("<f4").ravel()
        if values.size != tensor.n_elements or not numpy.array_equal(values, expected[offset : offset + values.size]):
            return False, f"{tensor.name} differs"
        # What we quantised is what gguf's own code would have made of the same numbers.
        offset += values.size
        kinds.add(tensor.tensor_type.name)
    architecture = reader.get_field("general.architecture").contents()
    return offset == expected.size, f"{architecture}, {len(reader.tensors)} tensors, {len(reader.fields)} fields, {sorted(kinds)}"


def blocks_agree(case):
    """Our blocks are bit for bit gguf's."""
    values = numpy.fromfile(case["values"], dtype="<f4").reshape(-1, 32)
    for kind in ["F16", "Q8_0", "Q4_0"]:
        theirs = gguf.quants.quantize(values, gguf.GGMLQuantizationType[kind]).tobytes()
        if theirs != pathlib.Path(f"{case['values']}.{kind}").read_bytes():
            return False, f"{kind} differs"
    return True, f"{values.size} numbers as F16, Q8_0 and Q4_0"


def main(plan_path):
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    plan = json.loads(pathlib.Path(plan_path).read_text(encoding="utf-8"))
    for kind, function in [("blocks", blocks_agree), ("gguf", gguf_reads), ("adapters", adapter_loads), ("merged", merged_loads),
                           ("make", make_adapter)]:
        for case in plan.get(kind, []):
            check(case["name"], function, case)


main(sys.argv[1])
