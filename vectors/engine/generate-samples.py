"""Writes samples.json: where samples of docs/spec/01-checkpoint.md §1.4 start. Python's own integers only.

    python3 vectors/engine/generate-samples.py

A second implementation of Philox, the Feistel network and the phase, written from the text alone.
"""

import json
import pathlib

WORD = 1 << 32


def philox(counter, key):
    """Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (
            (product1 >> 32) ^ c1 ^ k0,
            product1 % WORD,
            (product0 >> 32) ^ c3 ^ k1,
            product0 % WORD,
        )
        k0, k1 = (k0 + 0x9E3779B9) % WORD, (k1 + 0xBB67AE85) % WORD
    return c0, c1, c2, c3


def permuted(seed, size, epoch, index):
    key = (seed % WORD, seed // WORD)
    half = 2
    while half * half < size:
        half *= 2
    value = index
    while True:
        left, right = divmod(value, half)
        for number in range(6):
            mixed = philox((right, epoch % WORD, epoch // WORD, 2 + number), key)[0]
            left, right = right, (left ^ mixed) % half
        value = left * half + right
        if value < size:
            return value


def window_start(seed, tokens, context, sample):
    windows = max(1, tokens // context - 1)
    phases = min(context, tokens - windows * context)
    epoch, index = divmod(sample, windows)
    key = (seed % WORD, seed // WORD)
    phase = philox((0, epoch % WORD, epoch // WORD, 1), key)[0] % phases
    return phase + context * permuted(seed, windows, epoch, index)


CASES = [
    {"seed": 7, "trainTokens": 1_003_854, "contextLength": 128, "first": 0},
    {"seed": 7, "trainTokens": 1_003_854, "contextLength": 128, "first": 7_839},
    {"seed": 2**53 - 1, "trainTokens": 1_000, "contextLength": 10, "first": 2**45},
    {"seed": 0, "trainTokens": 5, "contextLength": 4, "first": 0},
    {"seed": 1, "trainTokens": 40, "contextLength": 4, "first": 0},
    {"seed": 3, "trainTokens": 2, "contextLength": 1, "first": 0},
]
COUNT = 12

for case in CASES:
    case["starts"] = [
        window_start(case["seed"], case["trainTokens"], case["contextLength"], case["first"] + i)
        for i in range(COUNT)
    ]
path = pathlib.Path(__file__).with_name("samples.json")
rows = ",\n  ".join(json.dumps(case) for case in CASES)
path.write_text(f"[\n  {rows}\n]\n", encoding="utf-8")
