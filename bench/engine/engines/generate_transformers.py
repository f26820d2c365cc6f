"""transformers as a generator of the benchmark: greedy, with its cache, from an exported folder.

The line protocol of child.ts; a step is one text, and its "loss" a fingerprint of the text's ids.
"""

import json
import resource
import sys
import time

import torch
from transformers import AutoModelForCausalLM

import transformers


def main():
    model, job = None, None
    for line in sys.stdin:
        message = json.loads(line)
        if "init" in message:
            job = message["init"]
            torch.set_num_threads(job["threads"])
            model = AutoModelForCausalLM.from_pretrained(job["folder"], dtype=torch.float32).eval()
        turn = {"ms": [], "losses": [], "version": transformers.__version__}
        for _ in range(message.get("steps", 1)):
            start = time.perf_counter()
            turn["losses"].append(fingerprint(generate(model, job)))
            turn["ms"].append((time.perf_counter() - start) * 1000)
        turn["peakMiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(turn), flush=True)


def generate(model, job):
    prompt = torch.tensor([job["prompt"]])
    count = job["count"]
    with torch.inference_mode():
        ids = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            min_new_tokens=count,
            max_new_tokens=count,
            use_cache=True,
            pad_token_id=0,
        )
    return ids[0, prompt.shape[1] :].tolist()


def fingerprint(ids):
    return sum((place + 1) * (id + 1) for place, id in enumerate(ids))


main()
