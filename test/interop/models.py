"""Writes checkpoints of every architecture with the real transformers, and what it computes from them.

models.py <folder>: per case a folder `model` (save_pretrained, in float32, float16 or bfloat16, some in shards), and beside it
tokens.json, logits.f32 and gradients.safetensors, computed in float32 by the model that from_pretrained loads from that folder.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "vectors" / "engine"))

import architectures
import safetensors.torch
import torch
from transformers import AutoModelForCausalLM
from transformers.integrations.bitnet import BitLinear, pack_weights

SIZES = dict(vocab_size=131, hidden_size=96, intermediate_size=160, num_hidden_layers=4, num_attention_heads=6,
             num_key_value_heads=2, max_position_embeddings=128)
GPT2_SIZES = dict(vocab_size=131, n_embd=96, n_inner=None, n_layer=4, n_head=6, n_positions=128)
# Long enough for attention in blocks, sliding windows that hide, and frequencies that Llama 3 stretches.
TOKENS = (2, 65)
# BitNet rounds activations to 8 bits: now and then a sum's last bit decides which way, and moves logits by hundredths.
# (transformers in float32 is then as far from itself in float64 as from us.) In so few tokens none falls the other way.
BITNET_TOKENS = (2, 13)
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def cases():
    own = architectures.MODELS
    sized = {name: {**fields, **(GPT2_SIZES if fields["model_type"] == "gpt2" else SIZES)} for name, fields in own.items()}
    sized["Gemma 3"].update(head_dim=24, query_pre_attn_scalar=20, sliding_window=20, num_hidden_layers=7, layer_types=None,
                            sliding_window_pattern=3)
    sized["Gemma 3"]["layer_types"] = ["full_attention" if i % 3 == 2 else "sliding_attention" for i in range(7)]
    sized["Qwen2, sliding"].update(sliding_window=24, max_window_layers=2)
    sized["Qwen3"].update(head_dim=32)
    sized["BitNet, online"].update(num_hidden_layers=2)
    plain = {"rope_type": "default", "rope_theta": 10000.0}
    llama = dict(architectures.SHARED, **SIZES, model_type="llama", rms_norm_eps=1e-5, rope_parameters=plain)
    sized["Llama 2"] = dict(llama, num_key_value_heads=6)
    sized["SmolLM2"] = dict(llama, hidden_size=72, num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True)
    return sized


def save(name, fields, folder, dtype, shards):
    model = architectures.make(fields, dtype=torch.float32)
    size = "150KB" if shards else "5GB"
    model.to(dtype).save_pretrained(folder, max_shard_size=size)
    # The quantisation is not a class that save_pretrained writes when it was put in by hand.
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if "quantization" in fields:
        config["quantization_config"] = json.loads(architectures.config_text(model))["quantization_config"]
    path.write_text(json.dumps(config, indent=1))


def pack(fields, folder, linear_class):
    """BitNet as published: ternary matrices in bytes, each with its scale."""
    model = architectures.make({k: v for k, v in fields.items() if k != "quantization"}, dtype=torch.float32)
    tensors = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        if tensor.dim() == 2 and name.startswith("model.layers."):
            mean = tensor.abs().mean().clamp(min=1e-5)
            tensors[name] = pack_weights((tensor / mean).round().clamp(-1, 1))
            tensors[f"{name}_scale"] = (mean if linear_class == "autobitlinear" else 1 / mean).reshape(1).bfloat16()
        else:
            tensors[name] = tensor.bfloat16()
    folder.mkdir(parents=True)
    safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads(architectures.config_text(model))
    config["quantization_config"] = {"quant_method": "bitnet", "linear_class": linear_class, "quantization_mode": "offline"}
    config["dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def compute(folder):
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32, attn_implementation="eager").eval()
    torch.nn.Module.float(model)  # a quantised model keeps the types of its file, and refuses its own float()
    packed = [module for module in model.modules() if isinstance(module, BitLinear)]
    for module in packed:
        module.dtype = torch.float32
    torch.manual_seed(7)
    bitnet = model.config.model_type == "bitnet"
    tokens = torch.randint(0, model.config.vocab_size, BITNET_TOKENS if bitnet else TOKENS)
    logits, loss = architectures.loss_of(model, tokens)
    if not packed:  # transformers' packed layers round to int8, through which no gradient comes
        loss.backward()
    # A stored ternary matrix is frozen; what has a scale beside it is one.
    scaled = {name.removesuffix("_scale") for name, _ in model.named_buffers()}
    gradients = {name: p.grad.contiguous() for name, p in model.named_parameters()
                 if p.grad is not None and name not in scaled}
    safetensors.torch.save_file(gradients, folder / "gradients.safetensors")
    (folder / "logits.f32").write_bytes(logits.detach().float().numpy().tobytes())
    (folder / "tokens.json").write_text(json.dumps({"tokens": tokens.tolist(), "loss": loss.item(),
                                                    "gradients": len(gradients)}))


def main(work):
    for index, (name, fields) in enumerate(cases().items()):
        folder = work / name
        dtype = DTYPES[index % len(DTYPES)]
        save(name, fields, folder / "model", dtype, shards=index % 2 == 1)
        compute(folder)
    for linear_class in ["autobitlinear", "bitlinear"]:
        folder = work / f"BitNet, packed, {linear_class}"
        pack(cases()["BitNet, online"], folder / "model", linear_class)
        compute(folder)


main(pathlib.Path(sys.argv[1]))
