"""PyTorch on the best device that it finds, as an engine of the GPU benchmark, and its own peak.

Usage: torch_gpu.py fp32|tf32|bf16|compile|info|peak. Attention is scaled_dot_product_attention, AdamW is
fused. fp32 rounds as our own engine does: TF32 is off. tf32 lets matrix products round their inputs
to 10 bits of mantissa. bf16 is autocast with f32 weights and moments. compile is torch.compile of
tf32.
"""

import json
import os
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../engine/engines"))

import torch  # noqa: E402
from torch_engine import Engine  # noqa: E402

PRODUCTS, REPETITIONS = 8, 3


def device_of():
    if torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name(0)
    if hasattr(torch.backends, "mps") and torch.backends.mps.is_available():
        return "mps", "Apple GPU"
    return "cpu", "the processor"


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()


class GpuEngine(Engine):
    """Engine, moved to the device, with a policy for the precision of matrix products."""

    def __init__(self, mode, job):
        self.device, _ = device_of()
        torch.set_float32_matmul_precision("high" if mode in ("tf32", "compile") else "highest")
        torch.backends.cudnn.allow_tf32 = mode in ("tf32", "compile")
        super().__init__("sdpa", job)
        # In place: the optimiser holds the same parameters.
        self.model.to(self.device)
        self.tokens = self.tokens.to(self.device)
        if mode == "compile":
            self.model = torch.compile(self.model)
        self.half = mode == "bf16"

    def step(self):
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.half):
            # The backward pass runs outside of what it records, with the same types.
            return super().step()


def timed(engine, count):
    ms, losses = [], []
    for _ in range(count):
        wait(engine.device)
        start = time.perf_counter()
        losses.append(engine.step())
        wait(engine.device)
        ms.append((time.perf_counter() - start) * 1000)
    if engine.device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ms": ms, "losses": losses, "peakMiB": peak}


def print_peaks(sides):
    """The best matrix product of each policy, one line of JSON per policy and size."""
    device, _ = device_of()
    for policy in ("fp32", "tf32", "bf16"):
        torch.set_float32_matmul_precision("high" if policy == "tf32" else "highest")
        dtype = torch.bfloat16 if policy == "bf16" else torch.float32
        for side in sides:
            state = torch.ones(side, side, device=device, dtype=dtype)
            best = float("inf")
            for attempt in range(REPETITIONS + 1):
                wait(device)
                start = time.perf_counter()
                x = state
                for _ in range(PRODUCTS):
                    x = (x @ state) * (1 / side)
                wait(device)
                if attempt > 0:
                    best = min(best, time.perf_counter() - start)
            tflops = PRODUCTS * 2 * side**3 / best / 1e12
            print(json.dumps({"policy": policy, "side": side, "tflops": tflops}), flush=True)


def main():
    mode = sys.argv[1]
    if mode == "info":
        device, name = device_of()
        return print(json.dumps({"version": torch.__version__, "device": device, "name": name}))
    if mode == "peak":
        return print_peaks([int(side) for side in sys.argv[2].split(",")])
    engine = None
    for line in sys.stdin:
        command = json.loads(line)
        if "init" in command:
            engine = GpuEngine(mode, command["init"])
            reply = {"version": torch.__version__, **timed(engine, 1)}
        else:
            reply = timed(engine, command["steps"])
        print(json.dumps(reply), flush=True)


main()
