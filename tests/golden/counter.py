"""The counter formula: weights, BatchNorm statistics and inputs as a function of (tensor name, flat index).

`formula.md` states it in words; the Rust tests hold the same formula. Also here: the sampling rule by which the
goldens store a tensor (shape, mean, std and 256 entries), and the deterministic JSON writer.
"""

import json
import math

import numpy as np

GAIN = 7.0  # conv weights are uniform in +-sqrt(GAIN / fan_in)
INNER_GAIN = 1.0  # the same inside the blocks (names that hold ".m.")
M64 = (1 << 64) - 1


def fnv1a(name):
    """FNV-1a, 64 bits, of the UTF-8 bytes of `name`."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & M64
    return h


def splitmix64(x):
    """splitmix64 of an array of counters (or of one int), element by element."""
    x = np.asarray(x, dtype=np.uint64)
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniform(name, shape):
    """u in [0, 1), float64, of every entry of the tensor `name` in row-major order."""
    index = np.arange(math.prod(shape), dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = splitmix64(np.uint64(fnv1a(name)) + index)
    return ((z >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)


def value(name, shape):
    """The float64 value of the model tensor `name`; its kind is read from the end of the name."""
    shape = tuple(shape)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape)
    if name.endswith("dfl.conv.weight"):
        return np.arange(math.prod(shape), dtype=np.float64).reshape(shape)
    u = uniform(name, shape)
    if len(shape) == 4:
        gain = INNER_GAIN if ".m." in name else GAIN
        return (2.0 * u - 1.0) * math.sqrt(gain / math.prod(shape[1:]))
    if name.endswith((".bn.weight", ".running_var", ".gamma")):
        return 0.5 + u
    if name.endswith((".bn.bias", ".running_mean")):
        return (u - 0.5) * 0.2
    if name.endswith(".bias"):
        return u - 0.5
    raise ValueError(f"the formula has no rule for {name} {shape}")


def sample(array, count=256):
    """Shape, mean, std (population) and `count` entries: flat index of entry k is splitmix64(k) mod numel."""
    flat = np.ascontiguousarray(array, dtype=np.float64).reshape(-1)
    index = splitmix64(np.arange(count, dtype=np.uint64)) % np.uint64(flat.size)
    values = [float(v) for v in flat[index.astype(np.int64)]]
    if not all(map(math.isfinite, values)):
        raise ValueError("a sampled entry is not finite")
    return {
        "shape": list(np.shape(array)),
        "mean": math.fsum(flat) / flat.size,
        "std": math.sqrt(math.fsum((flat - flat.mean()) ** 2) / flat.size),
        "samples": values,
    }


def write(path, data):
    """One JSON file, its values one per key and line down to the third level, floats by shortest round trip."""

    def text(node, depth):
        if isinstance(node, dict) and depth < 3 and node:
            pad = "  " * (depth + 1)
            body = ",\n".join(f"{pad}{json.dumps(k)}: {text(v, depth + 1)}" for k, v in node.items())
            return "{\n" + body + "\n" + "  " * depth + "}"
        return json.dumps(node, allow_nan=False, separators=(", ", ": "))

    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text(data, 0) + "\n")
