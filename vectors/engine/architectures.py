"""Tiny random models of every architecture that the engine runs, made by the real transformers.

`python vectors/engine/architectures.py` writes architectures.json beside this file, computed in float64 (transformers itself
rounds norms, angles and BitNet's quantisation to float32). test/interop/models.py imports it for its checkpoints.
"""

import base64
import json
import os
import pathlib

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # BitNet's layers ask for a compiler, which changes no number here

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.integrations.bitnet import AutoBitLinear, replace_with_bitnet_linear
from transformers.models.auto.configuration_auto import AutoConfig
from transformers.utils.quantization_config import BitNetQuantConfig

SHARED = dict(vocab_size=19, hidden_size=16, intermediate_size=24, num_hidden_layers=2, max_position_embeddings=32,
              num_attention_heads=4, num_key_value_heads=2, attention_dropout=0.0, bos_token_id=None, eos_token_id=None,
              pad_token_id=None)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
BITNET = dict(SHARED, model_type="bitnet", rms_norm_eps=1e-5, rope_parameters=dict(rope_type="default", rope_theta=500.0))

# Nothing here is a default, where it can be something else.
MODELS = {
    "Llama 3": dict(SHARED, model_type="llama", rms_norm_eps=1e-4, rope_parameters=LLAMA3, tie_word_embeddings=True),
    "Llama, linear RoPE, biases, wide heads": dict(
        SHARED, model_type="llama", rms_norm_eps=1e-5, head_dim=6, attention_bias=True, mlp_bias=True,
        rope_parameters=dict(rope_type="linear", rope_theta=700.0, factor=4.0)),
    "Qwen2": dict(SHARED, model_type="qwen2", rms_norm_eps=1e-5, rope_parameters=dict(rope_type="default", rope_theta=900.0)),
    "Qwen2, sliding": dict(SHARED, model_type="qwen2", rms_norm_eps=1e-5, use_sliding_window=True, sliding_window=4,
                           max_window_layers=1, tie_word_embeddings=True,
                           rope_parameters=dict(rope_type="default", rope_theta=900.0)),
    "Qwen3": dict(SHARED, model_type="qwen3", rms_norm_eps=1e-5, head_dim=8, tie_word_embeddings=True,
                  rope_parameters=dict(rope_type="default", rope_theta=900.0)),
    "Gemma 3": dict(SHARED, model_type="gemma3_text", rms_norm_eps=1e-5, head_dim=8, query_pre_attn_scalar=12,
                    sliding_window=3, layer_types=["sliding_attention", "full_attention"], tie_word_embeddings=True,
                    rope_parameters={"full_attention": dict(rope_type="linear", factor=8.0, rope_theta=5000.0),
                                     "sliding_attention": dict(rope_type="default", rope_theta=200.0)}),
    "GPT-2": dict(model_type="gpt2", vocab_size=19, n_embd=16, n_inner=40, n_layer=2, n_head=4, n_positions=32,
                  layer_norm_epsilon=1e-5, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None),
    "BitNet, unquantised": dict(BITNET, tie_word_embeddings=True),
    "BitNet, online": dict(BITNET, tie_word_embeddings=True, quantization="online"),
}


def make(fields, seed=20261121, dtype=torch.float64):
    """A model from its config's fields, with random weights that bfloat16 holds exactly."""
    fields = dict(fields)
    quantization = fields.pop("quantization", None)
    torch.manual_seed(seed)
    config = AutoConfig.for_model(**fields)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").to(dtype)
    if quantization:
        own = BitNetQuantConfig(linear_class="autobitlinear", quantization_mode=quantization)
        replace_with_bitnet_linear(model, modules_to_not_convert=["lm_head"], quantization_config=own)
        model.config.quantization_config = own
        model = model.to_empty(device="cpu") if any(p.is_meta for p in model.parameters()) else model
        refresh(model, config)
    with torch.no_grad():
        for own, p in model.named_parameters():
            gain = p.dim() == 1 and own.endswith("weight") and fields["model_type"] != "gemma3_text"
            p.copy_((torch.randn(p.shape) * 0.15 + (1 if gain else 0)).bfloat16().to(dtype))
    return model.to(dtype).eval()


def refresh(model, config):
    """to_empty leaves the buffers without values: those of a new model."""
    fresh = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    model.model.rotary_emb = fresh.model.rotary_emb


def config_text(model):
    fields = model.config.to_dict()
    quantization = getattr(model.config, "quantization_config", None)
    if quantization is not None:
        fields["quantization_config"] = quantization.to_dict() if hasattr(quantization, "to_dict") else quantization
    return json.dumps(fields, default=str)


def loss_of(model, tokens):
    logits = model(tokens[:, :-1]).logits
    return logits, torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def packed(tensor):
    """{shape, dtype, data: base64 of little-endian float32 or int32}"""
    integer = tensor.dtype in (torch.int64, torch.int32)
    array = tensor.detach().numpy().astype("<i4" if integer else "<f4")
    return {"shape": list(array.shape), "dtype": "i32" if integer else "f32",
            "data": base64.b64encode(array.tobytes()).decode()}


def vector(name):
    model = make(MODELS[name])
    tokens = torch.randint(0, 19, (2, 11))
    logits, loss = loss_of(model, tokens)
    loss.backward()
    tensors = {own: {"weights": packed(p.data), "gradients": packed(p.grad)} for own, p in model.named_parameters()}
    return {"name": name, "configJson": config_text(model), "tokens": packed(tokens), "logits": packed(logits),
            "loss": loss.item(), "tensors": tensors}


if __name__ == "__main__":
    made = f"torch {torch.__version__}, transformers {transformers.__version__}, float64"
    content = {"made": made, "models": [vector(name) for name in MODELS]}
    path = pathlib.Path(__file__).parent / "architectures.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
