"""PyTorch as an engine of the benchmark: the same weights, batches and optimiser as all others.

Usage: torch_engine.py plain|sdpa|compile. It deliberately uses PyTorch's fast paths: one matrix for
q, k and v, one for gate and up, fused AdamW, in-place gradient clipping.
"""

import json
import math
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F


def rope_tables(time_steps, width, theta):
    angles = torch.outer(
        torch.arange(time_steps, dtype=torch.float64),
        theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width),
    )
    both = torch.cat([angles, angles], dim=-1)
    return both.cos().float(), both.sin().float()


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Attention(torch.nn.Module):
    """Causal attention over [B, T, 3C], by matrix products or by scaled_dot_product_attention."""

    def __init__(self, heads, time_steps, fused):
        super().__init__()
        self.heads, self.fused = heads, fused
        mask = torch.full((time_steps, time_steps), float("-inf")).triu(1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, qkv, tables=None):
        batch, steps, width = qkv.shape
        q, k, v = qkv.view(batch, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if tables is not None:
            q, k = rotate(q, *tables), rotate(k, *tables)
        if self.fused:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(-1, -2) * (1 / math.sqrt(q.shape[-1]))
            mixed = (scores + self.mask).softmax(-1) @ v
        return mixed.transpose(1, 2).reshape(batch, steps, width // 3)


class Llama(torch.nn.Module):
    def __init__(self, config, parameters, time_steps, fused):
        super().__init__()
        self.config = config
        named = {key(name): torch.nn.Parameter(w) for name, w in parameters.items()}
        self.weights = torch.nn.ParameterDict(named)
        self.attention = Attention(config["numAttentionHeads"], time_steps, fused)
        width = config["hiddenSize"] // config["numAttentionHeads"]
        cos, sin = rope_tables(time_steps, width, config["ropeTheta"])
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def norm(self, x, name):
        return F.rms_norm(x, (x.shape[-1],), self.weights[key(name)], self.config["rmsNormEps"])

    def forward(self, ids):
        w = lambda name: self.weights[key(name)]
        x = F.embedding(ids, w("model.embed_tokens.weight"))
        for layer in range(self.config["numHiddenLayers"]):
            at = f"model.layers.{layer}."
            normed = self.norm(x, at + "input_layernorm.weight")
            qkv = F.linear(normed, w(at + "self_attn.qkv_proj.weight"))
            mixed = self.attention(qkv, (self.cos, self.sin))
            x = x + F.linear(mixed, w(at + "self_attn.o_proj.weight"))
            normed = self.norm(x, at + "post_attention_layernorm.weight")
            gate, up = F.linear(normed, w(at + "mlp.gate_up_proj.weight")).chunk(2, dim=-1)
            x = x + F.linear(F.silu(gate) * up, w(at + "mlp.down_proj.weight"))
        return F.linear(self.norm(x, "model.norm.weight"), w("lm_head.weight"))


class Gpt2(torch.nn.Module):
    """Matrices as [in, out], with Hugging Face's names."""

    def __init__(self, config, parameters, time_steps, fused):
        super().__init__()
        self.config = config
        named = {key(name): torch.nn.Parameter(w) for name, w in parameters.items()}
        self.weights = torch.nn.ParameterDict(named)
        self.attention = Attention(config["nHead"], time_steps, fused)

    def norm(self, x, name):
        gain, bias = self.weights[key(name + ".weight")], self.weights[key(name + ".bias")]
        return F.layer_norm(x, (x.shape[-1],), gain, bias, self.config["layerNormEpsilon"])

    def affine(self, x, name):
        flat = x.reshape(-1, x.shape[-1])
        bias, weight = self.weights[key(name + ".bias")], self.weights[key(name + ".weight")]
        y = torch.addmm(bias, flat, weight)
        return y.view(*x.shape[:-1], -1)

    def forward(self, ids):
        w = lambda name: self.weights[key(name)]
        table = w("transformer.wte.weight")
        x = F.embedding(ids, table) + w("transformer.wpe.weight")[: ids.shape[1]]
        for layer in range(self.config["nLayer"]):
            at = f"transformer.h.{layer}."
            qkv = self.affine(self.norm(x, at + "ln_1"), at + "attn.c_attn")
            x = x + self.affine(self.attention(qkv), at + "attn.c_proj")
            inner = self.affine(self.norm(x, at + "ln_2"), at + "mlp.c_fc")
            hidden = F.gelu(inner, approximate="tanh")
            x = x + self.affine(hidden, at + "mlp.c_proj")
        head = table if self.config["tieWordEmbeddings"] else w("lm_head.weight")
        return F.linear(self.norm(x, "transformer.ln_f"), head)


def key(name):
    return name.replace(".", "/")


MERGED = {
    "q_proj": "qkv_proj", "k_proj": "qkv_proj", "v_proj": "qkv_proj",
    "gate_proj": "gate_up_proj", "up_proj": "gate_up_proj",
}


def read_parameters(job):
    """The flat file as named tensors; matrices that read the same input become one."""
    flat = np.fromfile(job["weightsFile"], dtype="<f4")
    named, offset = {}, 0
    for spec in job["parameters"]:
        size = math.prod(spec["shape"])
        part = torch.from_numpy(flat[offset : offset + size].reshape(spec["shape"]).copy())
        offset += size
        name = ".".join(MERGED.get(piece, piece) for piece in spec["name"].split("."))
        named[name] = torch.cat([named[name], part]) if name in named else part
    return named


class Engine:
    def __init__(self, mode, job):
        torch.manual_seed(0)
        torch.set_num_threads(job["threads"])
        self.sequences, self.steps = job["sequences"], job["contextLength"]
        kind = Gpt2 if job["shape"] == "gpt2" else Llama
        model = kind(job["config"], read_parameters(job), self.steps, mode != "plain")
        self.parameters = list(model.parameters())
        self.norm_max = job["optimizer"]["gradientNormMax"]
        self.optimizer = self.make_optimizer(job["optimizer"]["adamw"])
        self.model = torch.compile(model) if mode == "compile" else model
        self.tokens = torch.from_numpy(np.fromfile(job["tokensFile"], dtype="<i4").astype(np.int64))
        self.count = 0

    def make_optimizer(self, options):
        decay = options["weightDecay"]
        groups = [
            {"params": [p for p in self.parameters if p.dim() > 1], "weight_decay": decay},
            {"params": [p for p in self.parameters if p.dim() == 1], "weight_decay": 0.0},
        ]
        betas = (options["beta1"], options["beta2"])
        rate, eps = options["learningRate"], options["eps"]
        return torch.optim.AdamW(groups, lr=rate, betas=betas, eps=eps, fused=True)

    def step(self):
        size = self.sequences * (self.steps + 1)
        start = (self.count * size) % len(self.tokens)
        self.count += 1
        batch = self.tokens[start : start + size].view(self.sequences, self.steps + 1)
        ids, targets = batch[:, :-1].contiguous(), batch[:, 1:].reshape(-1)
        logits = self.model(ids)
        loss = F.cross_entropy(logits.view(-1, logits.shape[-1]), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.norm_max)
        self.optimizer.step()
        return loss.item()


def timed(engine, count):
    ms, cpu_ms, losses = [], [], []
    for _ in range(count):
        cpu, wall = time.process_time(), time.perf_counter()
        losses.append(engine.step())
        ms.append((time.perf_counter() - wall) * 1000)
        cpu_ms.append((time.process_time() - cpu) * 1000)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ms": ms, "cpuMs": cpu_ms, "losses": losses, "peakMiB": peak}


def main():
    engine = None
    for line in sys.stdin:
        command = json.loads(line)
        if "init" in command:
            engine = Engine(sys.argv[1], command["init"])
            reply = {"version": torch.__version__, **timed(engine, 1)}
        else:
            reply = timed(engine, command["steps"])
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
