"""Second implementation of docs/spec/02-aggregation.md, in plain Python, held to the same vectors.

Written from the spec, slow and obvious on purpose; standard library only.
Run: python3 vectors/aggregation/check.py
"""

import hashlib
import json
import math
import struct
import sys
from pathlib import Path

BLOCK = 4096
CHUNK = 4 * 1024 * 1024
IDS = {"q8": 1, "ternary": 2, "sign": 3}


def fround(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def floats(text):
    raw = bytes.fromhex(text)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


def f32_bytes(values):
    return struct.pack(f"<{len(values)}f", *values)


def is_negative(value):
    return math.copysign(1.0, value) < 0


def length(fragment):
    return math.prod(fragment["shape"])


def ranges(fragments, covered):
    at, out = 0, []
    for index, fragment in enumerate(fragments):
        if index in covered:
            out.append((at, at + length(fragment)))
        at += length(fragment)
    return out


def blocks(fragments, covered):
    for start, end in ranges(fragments, covered):
        for at in range(start, end, BLOCK):
            yield at, min(at + BLOCK, end)


def pack(symbols, base, per_byte):
    groups = [symbols[i : i + per_byte] for i in range(0, len(symbols), per_byte)]
    return bytes(sum(s * base**k for k, s in enumerate(group)) for group in groups)


def ordered_sum(values):
    # Not sum(): since Python 3.12 it compensates, and the spec's sum rounds at every step.
    total = 0.0
    for value in values:
        total += value
    return total


def scale_of(magnitude):
    scale = fround(magnitude)
    return 0.0 if scale < 2.0**-126 else scale


def encode_block(codec, x):
    magnitudes = [abs(v) for v in x]
    mean = ordered_sum(magnitudes) / len(x)
    if codec == "q8":
        scale = scale_of(max(magnitudes) / 127)
        if scale == 0:
            return scale, bytes(len(x))
        levels = [min(127, math.floor(m / scale + 0.5)) for m in magnitudes]
        return scale, bytes((-q if v < 0 else q) & 255 for q, v in zip(levels, x))
    if codec == "ternary":
        threshold = fround(0.75 * mean)
        above = [m for m in magnitudes if m > threshold]
        scale = scale_of(ordered_sum(above) / len(above)) if above else 0.0
        digits = [(2 if v < 0 else 1) if abs(v) > threshold and scale else 0 for v in x]
        return scale, pack(digits, 3, 5)
    scale = scale_of(mean)
    return scale, pack([1 if is_negative(v) and scale else 0 for v in x], 2, 8)


def encode(codec, fragments, covered, values):
    bitmap = bytearray((len(fragments) + 7) // 8)
    for index in covered:
        bitmap[index // 8] |= 1 << (index % 8)
    elements = sum(length(fragments[index]) for index in covered)
    header = b"MHUP" + struct.pack("<BBHQ", 1, IDS[codec], len(fragments), elements)
    coded = [encode_block(codec, values[a:b]) for a, b in blocks(fragments, covered)]
    scales = b"".join(struct.pack("<f", scale) for scale, _ in coded)
    return header + bytes(bitmap) + scales + b"".join(payload for _, payload in coded)


def decode(raw, fragments):
    """Trusts the bytes: hostile ones are the business of the TypeScript property tests."""
    codec = {v: k for k, v in IDS.items()}[raw[5]]
    bitmap = raw[16 : 16 + (len(fragments) + 7) // 8]
    covered = [i for i in range(len(fragments)) if bitmap[i // 8] >> (i % 8) & 1]
    spans = list(blocks(fragments, covered))
    at = 16 + len(bitmap) + 4 * len(spans)
    values = [0.0] * sum(map(length, fragments))
    for index, (start, end) in enumerate(spans):
        scale = struct.unpack_from("<f", raw, 16 + len(bitmap) + 4 * index)[0]
        count = end - start
        if codec == "q8":
            size = count
            symbols = struct.unpack(f"<{count}b", raw[at : at + size])
        elif codec == "ternary":
            size = (count + 4) // 5
            digits = [raw[at + i // 5] // 3 ** (i % 5) % 3 for i in range(count)]
            symbols = [-1 if d == 2 else d for d in digits]
        else:
            size = (count + 7) // 8
            symbols = [-1 if raw[at + i // 8] >> (i % 8) & 1 else 1 for i in range(count)]
        values[start:end] = [fround(s * scale) for s in symbols]
        at += size
    assert at == len(raw)
    return covered, values


def compress(codec, fragments, covered, delta, residual):
    inside = [i for a, b in ranges(fragments, covered) for i in range(a, b)]
    x = list(residual)
    for i in inside:
        x[i] = fround(delta[i] + residual[i])
    raw = encode(codec, fragments, covered, x)
    _, decoded = decode(raw, fragments)
    for i in inside:
        x[i] = fround(x[i] - decoded[i])
    return raw, decoded, x


def sha(raw):
    return hashlib.sha256(raw).digest()


def leaf(domain, *parts):
    return sha(sha(domain.encode()) + b"".join(parts))


def u64(value):
    return struct.pack(">Q", value)


def merkle(level):
    if not level:
        return leaf("manyhands/merkle-empty/v1")
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [leaf("manyhands/merkle-node/v1", *p) if len(p) == 2 else p[0] for p in pairs]
    return level[0]


def blob_root(raw):
    chunks = [sha(raw[at : at + CHUNK]) for at in range(0, len(raw), CHUNK)]
    return leaf("manyhands/blob/v1", u64(len(raw)), merkle(chunks))


def list_root(domain, fragments, values):
    leaves, at = [], 0
    for f in fragments:
        raw = f32_bytes(values[at : at + length(f)])
        at += length(f)
        dims = [u64(size) for size in f["shape"]]
        parts = [sha(f["name"].encode()), u64(1), u64(len(dims)), *dims, blob_root(raw)]
        leaves.append(leaf("manyhands/fragment/v1", *parts))
    return leaf(domain, u64(len(leaves)), merkle(leaves))


def roots(fragments, state, round_number):
    weights = list_root("manyhands/weights/v1", fragments, state["weights"])
    feedback = list_root("manyhands/feedback/v1", fragments, state["feedback"])
    momentum = bytes(32)
    if state["momentum"] is not None:
        momentum = list_root("manyhands/momentum/v1", fragments, state["momentum"])
    whole = leaf("manyhands/state/v1", weights, feedback, momentum, u64(round_number))
    return [weights.hex(), feedback.hex(), momentum.hex(), whole.hex()]


def screened(fragments, covered, values, rms_max):
    return all(
        ordered_sum(v * v for v in values[a:b]) <= rms_max * rms_max * (b - a)
        for a, b in ranges(fragments, covered)
    )


def outer_step(state, inside, u, rule):
    lr, mu = rule["learningRate"], rule["momentum"]
    for i in inside:
        step = u[i]
        if mu > 0:
            velocity = fround(fround(mu * state["momentum"][i]) + u[i])
            state["momentum"][i] = velocity
            step = fround(fround(mu * velocity) + u[i]) if rule["nesterov"] else velocity
        state["weights"][i] = fround(state["weights"][i] - fround(lr * step))


def close_round(case, state, contributions):
    fragments, codec = case["fragments"], case["codec"]
    size = sum(map(length, fragments))
    sums, totals, accepted = [0.0] * size, [0] * size, []
    for one in sorted(contributions, key=lambda c: c["id"]):
        covered, values = decode(bytes.fromhex(one["bytes"]), fragments)
        if not screened(fragments, covered, values, case["limits"]["rmsMax"]):
            continue
        accepted.append(one["id"])
        for a, b in ranges(fragments, covered):
            for i in range(a, b):
                sums[i] += one["weight"] * values[i]
                totals[i] += one["weight"]
    if not accepted:
        return None, accepted
    offsets = [ranges(fragments, [k])[0][0] for k in range(len(fragments))]
    covered = [k for k, at in enumerate(offsets) if totals[at] > 0]
    mean = [fround(s / t) if t else 0.0 for s, t in zip(sums, totals)]
    raw, decoded, feedback = compress(codec, fragments, covered, mean, state["feedback"])
    state["feedback"] = feedback
    inside = [i for a, b in ranges(fragments, covered) for i in range(a, b)]
    outer_step(state, inside, decoded, case["outer"])
    return raw.hex(), accepted


def state_of(text):
    fields = ("weights", "feedback", "momentum")
    return {name: text[name] and floats(text[name]) for name in fields}


def roots_of(text):
    return [text[name] for name in ("weightsRoot", "feedbackRoot", "momentumRoot", "stateRoot")]


def expect(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: expected {str(expected)[:200]}, found {str(found)[:200]}")


def load(name):
    return json.loads((Path(__file__).parent / f"{name}.json").read_text())


def main():
    for index, case in enumerate(load("codec")):
        found = encode(case["codec"], case["fragments"], case["covered"], floats(case["values"]))
        expect(f"codec {index}", found.hex(), case["bytes"])
    for index, case in enumerate(load("error-feedback")):
        delta, residual = floats(case["pseudoGradient"]), floats(case["residual"])
        args = case["codec"], case["fragments"], case["covered"], delta, residual
        raw, _, after = compress(*args)
        expect(f"error-feedback {index}", raw.hex(), case["bytes"])
        expect(f"residual {index}", f32_bytes(after).hex(), case["residualAfter"])
    for case in load("rounds"):
        state = state_of(case["start"])
        expect("start roots", roots(case["fragments"], state, 0), roots_of(case["start"]))
        for one in case["rounds"]:
            what = f"{case['codec']} round {one['round']}"
            aggregate, accepted = close_round(case, state, one["contributions"])
            expect(f"{what} accepted", accepted, one["accepted"])
            expect(f"{what} aggregate", aggregate, one["aggregate"])
            expect(f"{what} weights", f32_bytes(state["weights"]).hex(), one["after"]["weights"])
            found = roots(case["fragments"], state, one["round"])
            expect(f"{what} roots", found, roots_of(one["after"]))
    print("aggregation vectors: the second implementation agrees")


if __name__ == "__main__":
    main()
