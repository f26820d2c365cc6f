"""Writes small trained models of every architecture that llama.cpp knows, each with a tokenizer of its family's kind.

tuned.py <folder> <text>: per case a folder `model` (save_pretrained: config, weights, tokenizer), and beside it tokens.json: windows of
the text's end, the hostile texts' ids, and the loss that transformers gives. Training is a minute on two cores: a model that has learned
something is changed by errors that a random one would hide.
"""

import json
import pathlib
import sys

import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

VOCAB = 640
WINDOW = 128
STEPS = 120
SIZES = dict(hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, vocab_size=VOCAB)
LLAMA_WORD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def byte_bpe(text, steps, special, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = steps
    tokenizer.decoder = decoders.ByteLevel()
    # A few ids stay without a token, as in many published models.
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - 8, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def split(digits):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA_WORD % digits), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def with_bos(tokenizer, bos):
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
    return tokenizer


def space_bpe(text, prefix, special, spaces):
    """As converted from SentencePiece: bytes for what has no token, and every way to make a token is a merge."""
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - 260, show_progress=False)
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first" if prefix else "never")
    trained.train_from_iterator([text], trainer)
    made = json.loads(trained.to_str())["model"]
    ranks = {}
    for index, (left, right) in enumerate(made["merges"]):
        ranks.setdefault(left + right, index)
    names = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *sorted(set(made["vocab"]), key=made["vocab"].get)]
    vocab = {name: index for index, name in enumerate(names[: VOCAB - 2 * spaces])}
    merges = [(token[:cut], token[cut:]) for token in sorted(ranks, key=ranks.get) if token in vocab
              for cut in range(1, len(token)) if token[:cut] in vocab and token[cut:] in vocab]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    replace = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace]) if prefix else replace
    back = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(back + ([decoders.Strip(" ", 1, 0)] if prefix else []))
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    if spaces:
        tokenizer.add_tokens([AddedToken("▁" * 9, normalized=False), AddedToken("\n\n\n", normalized=False)])
    return with_bos(tokenizer, "<s>" if prefix else "<bos>")


def cases(text):
    plain = {"rope_type": "default", "rope_theta": 10000.0}
    llama = dict(SIZES, model_type="llama", rms_norm_eps=1e-5, rope_parameters=plain, tie_word_embeddings=False)
    llama3 = dict(rope_type="llama3", rope_theta=5000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                  original_max_position_embeddings=64)
    ends = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    gemma = dict(SIZES, model_type="gemma3_text", num_hidden_layers=7, head_dim=32, query_pre_attn_scalar=24, sliding_window=24,
                 rope_parameters={"full_attention": dict(rope_type="linear", factor=2.0, rope_theta=100000.0),
                                  "sliding_attention": dict(rope_type="default", rope_theta=10000.0)})
    return {
        "Llama 2": (dict(llama, num_key_value_heads=4), space_bpe(text, True, ["<unk>", "<s>", "</s>"], 0), "<s>", "</s>"),
        "Llama 3": (dict(llama, rope_parameters=llama3, head_dim=48, attention_bias=True, mlp_bias=True),
                    with_bos(byte_bpe(text, split("{1,3}"), ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"], True),
                             "<|begin_of_text|>"), "<|begin_of_text|>", "<|end_of_text|>"),
        "SmolLM2": (dict(llama, hidden_size=96, num_attention_heads=3, num_key_value_heads=1, tie_word_embeddings=True),
                    byte_bpe(text, digits, ends), "<|im_start|>", "<|im_end|>"),
        "Qwen2": (dict(SIZES, model_type="qwen2", rms_norm_eps=1e-6, rope_parameters=plain, tie_word_embeddings=True),
                  byte_bpe(text, split(""), ends), None, "<|im_end|>"),
        "Qwen3": (dict(SIZES, model_type="qwen3", head_dim=64, rms_norm_eps=1e-6, rope_parameters=plain, tie_word_embeddings=False),
                  byte_bpe(text, split(""), ends), None, "<|im_end|>"),
        "Gemma 3": (gemma, space_bpe(text, False, ["<pad>", "<eos>", "<bos>", "<unk>"], 2), "<bos>", "<eos>"),
        "GPT-2": (dict(model_type="gpt2", n_embd=128, n_layer=2, n_head=4, n_positions=256, vocab_size=VOCAB),
                  byte_bpe(text, pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"]), None, "<|endoftext|>"),
    }


def configured(fields):
    fields = dict(fields)
    drop = {name: 0.0 for name in ["attn_pdrop", "embd_pdrop", "resid_pdrop"]} if fields["model_type"] == "gpt2" else {}
    return AutoConfig.for_model(fields.pop("model_type"), **fields, **drop)


def train(model, ids):
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.0)
    for _ in range(STEPS):
        at = torch.randint(0, len(ids) - WINDOW - 1, (8,))
        batch = torch.stack([ids[i : i + WINDOW] for i in at])
        loss = model(batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def measure(model, ids):
    windows = ids[-4 * WINDOW :].reshape(4, WINDOW)
    with torch.inference_mode():
        logits = model(windows).logits[:, :-1].double()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    return windows.tolist(), loss.item()


def main(work, text_path, hostile_path):
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    text = pathlib.Path(text_path).read_text(encoding="utf-8")[:400_000]
    hostile = json.loads(pathlib.Path(hostile_path).read_text(encoding="utf-8"))
    for index, (name, (fields, tokenizer, bos, eos)) in enumerate(cases(text).items()):
        folder = work / name
        torch.manual_seed(index)
        model = AutoModelForCausalLM.from_config(configured(fields), attn_implementation="eager")
        ids = torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids)
        loss = train(model, ids)
        model.eval().to(DTYPES[index % len(DTYPES)]).save_pretrained(folder / "model", max_shard_size="700KB" if index % 2 else "5GB")
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos).save_pretrained(folder / "model")
        # Anew from its files: what is on disk is what is compared.
        windows, exact = measure(AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval(), ids)
        tokenizer.encode_special_tokens = True  # what looks like a control token in a person's text is text
        texts = [tokenizer.encode(each, add_special_tokens=False).ids for each in hostile]
        whole = tokenizer.encode("Hello, world").ids
        (folder / "tokens.json").write_text(json.dumps({"windows": windows, "loss": exact, "texts": texts, "whole": whole}))
        print(f"{name}: {len(ids)} tokens, trained to {loss:.3f}, held out {exact:.4f}", file=sys.stderr)


main(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3])
