"""Writes the engine's vectors: operations, whole models and training runs, computed by PyTorch in float64.

Run: python vectors/engine/generate.py        (needs torch, transformers, numpy; writes beside this file)
Made with torch 2.15.0 and transformers (version in each file). Inputs are float32 values; results are float64
results rounded to float32. (transformers itself computes RMSNorm and the attention's softmax in float32.)
"""

import base64
import json
import pathlib

import numpy as np
import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).parent
F64 = torch.float64
torch.manual_seed(20261120)


def rand(*shape, low=-1.5, high=1.5):
    """Uniform float32 values, as float64."""
    return (torch.rand(shape) * (high - low) + low).to(F64)


def packed(tensor):
    """{shape, dtype, data: base64 of little-endian float32 or int32}"""
    integer = tensor.dtype in (torch.int64, torch.int32, torch.bool)
    array = tensor.detach().numpy().astype("<i4" if integer else "<f4")
    data = base64.b64encode(array.tobytes()).decode()
    return {"shape": list(array.shape), "dtype": "i32" if integer else "f32", "data": data}


CASES = []


def case(op, function, inputs, **attributes):
    """One operation: value, and the gradients of sum(value * cotangent) for its f32 inputs."""
    inputs = [x.clone().requires_grad_(x.dtype == F64) for x in inputs]
    y = function(*inputs)
    entry = {"op": op, "attributes": attributes, "inputs": [packed(x) for x in inputs]}
    entry["output"] = packed(y)
    if y.dtype == F64 and y.requires_grad:
        cotangent = rand(*y.shape)
        (y * cotangent).sum().backward()
        entry["cotangent"] = packed(cotangent)
        entry["gradients"] = [None if x.grad is None else packed(x.grad) for x in inputs]
    CASES.append(entry)


def half_split_rope(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def rms(x, eps):
    return torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)


def attention(q, k, v):
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v


def operations():
    x = rand(2, 3, 4)
    positive = rand(3, 5, low=0.2, high=3)
    for name in ["neg", "exp", "sigmoid", "tanh"]:
        case(name, getattr(torch, name), [x])
    for name in ["log", "sqrt", "reciprocal"]:
        case(name, getattr(torch, name), [positive])
    case("pow", lambda a: a.pow(3), [x], exponent=3)
    case("pow", lambda a: a.pow(-0.5), [positive], exponent=-0.5)
    case("stopGradient", lambda a, b: a.detach() * b, [x, rand(2, 3, 4)])
    shapes = [((2, 3), (2, 3)), ((2, 1, 4), (3, 1)), ((5,), (2, 5)), ((2, 3), ()), ((1,), (3, 2))]
    for name in ["add", "sub", "mul", "div"]:
        for a, b in shapes:
            low = 0.5 if name == "div" else -1.5
            case(name, getattr(torch, name), [rand(*a), rand(*b, low=low, high=1.5)])
    ints = torch.tensor([[1, 2, 3], [3, 2, 1]], dtype=torch.int32)
    case("equal", torch.eq, [ints, torch.tensor([1, 2, 1], dtype=torch.int32)])
    case("less", torch.lt, [rand(3, 4), rand(4)])
    less = lambda a, b, c, d: torch.where(a.detach() < b.detach(), c, d)
    case("where", less, [rand(2, 3), rand(3), rand(2, 3), rand(1, 3)])

    for a, b in [((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 2, 3, 4), (2, 1, 4, 5)), ((2, 3, 4), (4, 5))]:
        for ta in [False, True]:
            for tb in [False, True]:
                swap = lambda t: t.transpose(-1, -2)
                left = rand(*(a[:-2] + ((a[-1], a[-2]) if ta else a[-2:])))
                right = rand(*(b[:-2] + ((b[-1], b[-2]) if tb else b[-2:])))
                product = lambda p, q, ta=ta, tb=tb: 0.5 * ((swap(p) if ta else p) @ (swap(q) if tb else q))
                case("matmul", product, [left, right], transposeA=ta, transposeB=tb, scale=0.5)
    for axes in [[0], [1], [-1], [0, 2], [0, 1, 2]]:
        for keep in [False, True]:
            options = {"axes": axes, "keepDims": keep}
            case("reduceSum", lambda a: a.sum(axes, keepdim=keep), [x], **options)
            case("reduceMean", lambda a: a.mean(axes, keepdim=keep), [x], **options)
            case("reduceMax", lambda a: a.amax(axes, keepdim=keep), [x], **options)
    ties = torch.tensor([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]], dtype=F64)
    case("reduceMax", lambda a: a.amax([1]), [ties], axes=[1], keepDims=False)
    case("softmax", lambda a: a.softmax(-1), [x])
    # Saturated: 1 - p cancels in float32, so only the value can be compared.
    case("softmax", lambda a: a.detach().softmax(-1), [rand(2, 3, low=-60, high=60)])
    case("reshape", lambda a: a.reshape(4, 6), [x], shape=[4, 6])
    case("expand", lambda a: a.expand(2, 3, 4), [rand(3, 1)], shape=[2, 3, 4])
    case("transpose", lambda a: a.permute(2, 0, 1), [x], permutation=[2, 0, 1])
    case("transpose", lambda a: a.permute(0, 2, 1, 3), [rand(2, 3, 2, 2)], permutation=[0, 2, 1, 3])
    case("slice", lambda a: a[:, 1:3], [x], axis=1, start=1, end=3)
    case("slice", lambda a: a[..., 2:], [x], axis=-1, start=2, end=4)
    case("pad", lambda a: torch.nn.functional.pad(a, (0, 0, 1, 2)), [x], axis=1, before=1, after=2)
    case("concat", lambda a, b: torch.cat([a, b], 1), [x, rand(2, 2, 4)], axis=1)
    case("splitConcat", lambda a: torch.cat([a[:, 2:] * 2, a[:, :2]], 1), [x], axis=1, at=2)
    ids = torch.tensor([[0, 3, 3], [6, 0, 2]], dtype=torch.int32)
    case("gather", lambda t, i: t[i.long()], [rand(7, 4), ids])
    big = torch.tensor([1500, 3, 3, 0], dtype=torch.int32)
    scatter = lambda i, d, n: torch.zeros(n, d.shape[-1], dtype=F64).index_add(0, i.reshape(-1), d.reshape(-1, d.shape[-1]))
    case("scatterRows", lambda i, d: scatter(i, d, 7), [ids, rand(2, 3, 4)], rows=7)
    case("scatterRows", lambda i, d: scatter(i, d, 1600), [big, rand(4, 2)], rows=1600)
    case("oneHot", lambda i: torch.nn.functional.one_hot(i.long(), 7).to(F64), [ids], depth=7)
    case("cast", lambda i: i.to(F64), [ids], dtype="f32")

    angles = torch.arange(5).to(F64)[:, None] * torch.tensor([1.0, 0.1, 0.01], dtype=F64)[None]
    tables = [angles.cos().float().to(F64), angles.sin().float().to(F64)]
    rope = lambda a, c, s: half_split_rope(a, c.detach(), s.detach())
    case("rope", rope, [rand(2, 2, 5, 6), *tables])
    case("rmsNormalize", lambda a, g: a * rms(a, 1e-5) * g, [x, rand(4)], eps=1e-5)
    case("rmsNormalize", lambda a, g: a * rms(a, 1e-2) * g, [rand(5, 3, low=-0.1, high=0.1), rand(3)], eps=1e-2)
    case("rmsInverse", lambda a: rms(a, 1e-5), [x], eps=1e-5)
    case("silu", torch.nn.functional.silu, [rand(3, 5, low=-6, high=6)])
    case("attention", attention, [rand(2, 2, 5, 4), rand(2, 2, 5, 4), rand(2, 2, 5, 4)])
    # Long enough to be cut in blocks, with two heads to a key.
    grouped = lambda q, k, v: attention(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1))
    case("attention", grouped, [rand(1, 4, 64, 2), rand(1, 2, 64, 2), rand(1, 2, 64, 2)])
    targets = torch.tensor([0, 6, 3], dtype=torch.int32)
    entropy = lambda z, t: torch.nn.functional.cross_entropy(z, t.long(), reduction="none")[:, None]
    case("crossEntropy", entropy, [rand(3, 7, low=-4, high=4), targets])
    case("crossEntropy", entropy, [rand(3, 7, low=-200, high=200), targets])
    return {"made": made(), "cases": CASES}


def more_operations():
    """GPT-2's: after everything else, so that the older vectors keep their random numbers."""
    x = rand(2, 3, 4)
    layer = lambda eps: lambda a, g, b: torch.nn.functional.layer_norm(a, a.shape[-1:], g, b, eps)
    case("layerNormalize", layer(1e-5), [x, rand(4), rand(4)], eps=1e-5)
    # A mean that is large beside the deviation, as in a residual stream.
    case("layerNormalize", layer(1e-2), [rand(5, 3, low=2, high=3), rand(3), rand(3)], eps=1e-2)
    inverse = lambda a: torch.rsqrt(a.var(-1, keepdim=True, unbiased=False) + 1e-5)
    case("layerInverse", inverse, [x], eps=1e-5)
    case("gelu", lambda a: torch.nn.functional.gelu(a, approximate="tanh"), [rand(3, 5, low=-6, high=6)])


def made():
    return f"torch {torch.__version__}, transformers {transformers.__version__}, float64"


CONFIGS = {
    "grouped queries, untied": dict(num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False),
    "one key for all, tied": dict(num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True),
    "plain heads, untied": dict(num_attention_heads=2, num_key_value_heads=2, tie_word_embeddings=False),
}


def model_of(**own):
    config = LlamaConfig(
        vocab_size=19, hidden_size=16, intermediate_size=24, num_hidden_layers=2, rms_norm_eps=1e-5,
        max_position_embeddings=16, attention_dropout=0.0, rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        attn_implementation="eager", **own,
    )
    model = LlamaForCausalLM(config).to(F64)
    # The buffer is float32 by default: recompute it in float64, as our tables are.
    width = config.hidden_size // config.num_attention_heads
    inverse = 500.0 ** (-torch.arange(0, width, 2).to(F64) / width)
    model.model.rotary_emb.inv_freq = inverse
    model.model.rotary_emb.forward = lambda x, position_ids: rotary(inverse, position_ids)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_((torch.randn(p.shape) * 0.15 + (1 if p.dim() == 1 else 0)).float().to(F64))
    return model


def rotary(inverse, ids):
    angles = ids[..., None].to(F64) * inverse
    both = torch.cat([angles, angles], dim=-1)
    return both.cos(), both.sin()


GPT2_CONFIGS = {"GPT-2, tied": dict(tie_word_embeddings=True), "GPT-2, untied": dict(tie_word_embeddings=False)}


def gpt2_of(**own):
    config = GPT2Config(
        vocab_size=19, n_embd=16, n_inner=40, n_layer=2, n_head=4, n_positions=12, layer_norm_epsilon=1e-5,
        activation_function="gelu_new", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, attn_implementation="eager", **own,
    )
    model = GPT2LMHeadModel(config).to(F64)
    with torch.no_grad():
        for name, p in model.named_parameters():
            gain = p.dim() == 1 and name.endswith("weight")
            p.copy_((torch.randn(p.shape) * 0.15 + (1 if gain else 0)).float().to(F64))
    return model


def gpt2_order(config):
    names = ["transformer.wte.weight", "transformer.wpe.weight"]
    for layer in range(config.n_layer):
        for part in ["ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"]:
            names += [f"transformer.h.{layer}.{part}.{kind}" for kind in ["weight", "bias"]]
    names += ["transformer.ln_f.weight", "transformer.ln_f.bias"]
    return names if config.tie_word_embeddings else names + ["lm_head.weight"]


def order(config):
    """Our order of parameters, as `parameterSpecs` lists them."""
    if config.model_type == "gpt2":
        return gpt2_order(config)
    names = ["model.embed_tokens.weight"]
    for layer in range(config.num_hidden_layers):
        own = ["input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
        own += ["post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
        names += [f"model.layers.{layer}.{name}.weight" for name in own]
    names.append("model.norm.weight")
    return names if config.tie_word_embeddings else names + ["lm_head.weight"]


def flat(model, value):
    parameters = dict(model.named_parameters())
    return torch.cat([value(parameters[name]).reshape(-1) for name in order(model.config)])


def config_of(model):
    c = model.config
    if c.model_type == "gpt2":
        return {
            "modelType": "gpt2", "vocabSize": c.vocab_size, "nPositions": c.n_positions, "nEmbd": c.n_embd, "nLayer": c.n_layer,
            "nHead": c.n_head, "nInner": c.n_inner, "layerNormEpsilon": c.layer_norm_epsilon,
            "tieWordEmbeddings": c.tie_word_embeddings,
        }
    return {
        "vocabSize": c.vocab_size, "hiddenSize": c.hidden_size, "intermediateSize": c.intermediate_size,
        "numHiddenLayers": c.num_hidden_layers, "numAttentionHeads": c.num_attention_heads,
        "numKeyValueHeads": c.num_key_value_heads, "maxPositionEmbeddings": c.max_position_embeddings,
        "rmsNormEps": c.rms_norm_eps, "ropeTheta": 500, "tieWordEmbeddings": c.tie_word_embeddings,
    }


def loss_of(model, tokens):
    logits = model(tokens[:, :-1]).logits
    return logits, torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def models(made_of, configs):
    entries = []
    for name, own in configs.items():
        model = made_of(**own)
        tokens = torch.randint(0, 19, (3, 9))
        logits, loss = loss_of(model, tokens)
        loss.backward()
        names = order(model.config)
        parameters = dict(model.named_parameters())
        entries.append({
            "name": name, "config": config_of(model), "tokens": packed(tokens),
            "parameters": [{"name": n, "shape": list(parameters[n].shape)} for n in names],
            "weights": packed(flat(model, lambda p: p.data)), "logits": packed(logits), "loss": loss.item(),
            "gradients": packed(flat(model, lambda p: p.grad)),
        })
    return entries


QUINTIC = [(3.4445, -4.7750, 2.0315)] * 5
POLAR = [(8.1566, -22.4833, 15.8788), (4.0429, -2.8089, 0.5), (3.8917, -2.7725, 0.5061), (3.2858, -2.3681, 0.4645),
         (2.3465, -1.7098, 0.4232)]


def orthogonal(u, iterations, margin):
    x = u / (u.norm() * margin)
    x = x.T if u.shape[0] > u.shape[1] else x
    for a, b, c in iterations:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if u.shape[0] > u.shape[1] else x


RECIPES = {
    "adamw": {"gradientNormMax": 1, "adamw": {"learningRate": 0.01, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weightDecay": 0.1}},
    "muon, quintic": {
        "gradientNormMax": 0.5, "adamw": {"learningRate": 0.006, "beta1": 0.9, "beta2": 0.98, "eps": 1e-8, "weightDecay": 0},
        "muon": {"learningRate": 0.02, "momentum": 0.95, "weightDecay": 0.05, "orthogonalization": "quintic"},
    },
    "muon, polar express": {
        "gradientNormMax": 1, "adamw": {"learningRate": 0.006, "beta1": 0.9, "beta2": 0.98, "eps": 1e-8, "weightDecay": 0.02},
        "muon": {"learningRate": 0.02, "momentum": 0.9, "weightDecay": 0.05, "orthogonalization": "polarExpress"},
    },
}


def train(model, recipe, tokens, scales):
    options, muon = recipe["adamw"], recipe.get("muon")
    parameters = dict(model.named_parameters())
    is_muon = lambda n, p: muon is not None and p.dim() == 2 and n.startswith(("model.layers.", "transformer.h."))
    groups = {True: [], False: []}
    for n, p in parameters.items():
        if not is_muon(n, p):
            groups[p.dim() > 1].append(p)
    adamw = torch.optim.AdamW(
        [{"params": groups[True], "weight_decay": options["weightDecay"]}, {"params": groups[False], "weight_decay": 0.0}],
        lr=options["learningRate"], betas=(options["beta1"], options["beta2"]), eps=options["eps"])
    momenta = {n: torch.zeros_like(p) for n, p in parameters.items() if is_muon(n, p)}
    losses, norms = [], []
    for step, scale in enumerate(scales):
        model.zero_grad()
        _, loss = loss_of(model, tokens[step])
        loss.backward()
        norm = torch.sqrt(sum(p.grad.pow(2).sum() for p in parameters.values()))
        losses.append(loss.item())
        norms.append(norm.item())
        for p in parameters.values():
            p.grad.mul_(min(1.0, recipe["gradientNormMax"] / norm.item()))
        for group in adamw.param_groups:
            group["lr"] = options["learningRate"] * scale
        adamw.step()
        with torch.no_grad():
            for n, m in momenta.items():
                p, mu, lr = parameters[n], muon["momentum"], muon["learningRate"] * scale
                m.lerp_(p.grad, 1 - mu)
                polar = muon["orthogonalization"] == "polarExpress"
                update = orthogonal(p.grad.lerp(m, mu), POLAR if polar else QUINTIC, 1.02 if polar else 1)
                p.mul_(1 - lr * muon["weightDecay"])
                # GPT-2 stores [in, out], Llama [out, in].
                outs, ins = reversed(p.shape) if n.startswith("transformer.") else p.shape
                p.sub_(update * (lr * max(1, outs / ins) ** 0.5))
    return losses, norms


def trainings(make, recipes):
    entries = []
    for name, recipe in recipes.items():
        model = make()
        weights = packed(flat(model, lambda p: p.data))
        tokens = torch.randint(0, 19, (10, 3, 9))
        scales = [min(1, (i + 1) / 3) * 0.95**i for i in range(10)]
        losses, norms = train(model, recipe, tokens, scales)
        entries.append({
            "name": name, "config": config_of(model), "recipe": recipe, "tokens": packed(tokens),
            "learningRateScales": scales, "weights": weights, "losses": losses, "gradientNorms": norms,
            "finalWeights": packed(flat(model, lambda p: p.data)),
        })
    return entries


def everything():
    """In this order, so that what is added later leaves the older random numbers as they are."""
    llama = lambda: model_of(**CONFIGS["grouped queries, untied"])
    gpt2 = lambda: gpt2_of(**GPT2_CONFIGS["GPT-2, untied"])
    older = [operations(), models(model_of, CONFIGS), trainings(llama, RECIPES)]
    more_operations()
    both = {f"GPT-2, {name}": RECIPES[name] for name in ["adamw", "muon, polar express"]}
    return {
        "operations": older[0],
        "models": {"made": made(), "models": older[1] + models(gpt2_of, GPT2_CONFIGS)},
        "trainings": {"made": made(), "trainings": older[2] + trainings(gpt2, both)},
    }


for filename, content in everything().items():
    (HERE / f"{filename}.json").write_text(json.dumps(content, indent=1) + "\n")
