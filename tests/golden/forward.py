"""Writes forward_{n,s,m,l,x}.json: the network's outputs in eval and train mode under the counter formula.

Runs under an interpreter that has ultralytics 8.4.190: `forward.py OUTPUT_FOLDER [SCALE ...]`. All in float64.
"""

import sys
from pathlib import Path

import numpy as np
import torch

import counter

SHAPE = (2, 3, 256, 320)


def build(scale):
    """The network with formula weights; dtype is torch's default dtype."""
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel(f"yolo12{scale}.yaml", ch=3, nc=80, verbose=False)
    model.load_state_dict(formula_state(model))
    return model


def formula_state(model):
    """state_dict made by the formula, names and shapes taken from the network."""
    return {k: torch.from_numpy(np.asarray(counter.value(k, v.shape))).to(v.dtype) for k, v in model.state_dict().items()}


def numpy(tensor):
    return tensor.detach().double().numpy()


def run(model, image, train):
    """One forward; returns (raw outputs by name, small samples of every top-level layer's output)."""
    layers, hooks = {}, []
    for i, layer in enumerate(model.model[:-1]):
        hook = lambda _m, _in, out, i=i: layers.__setitem__(str(i), counter.sample(numpy(out), 8))
        hooks.append(layer.register_forward_hook(hook))
    model.train(train)
    with torch.no_grad():
        out = model(image)
    for hook in hooks:
        hook.remove()
    decoded, raw = (None, out) if train else out
    tensors = {"boxes": raw["boxes"], "scores": raw["scores"]}
    if decoded is not None:
        tensors["decoded"] = decoded
    return {k: numpy(v) for k, v in tensors.items()}, layers


def statistics(model, count=12):
    """Running statistics of `count` BatchNorm layers spread evenly over the network."""
    names = [n for n, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d)]
    picked = [names[i * (len(names) - 1) // (count - 1)] for i in range(count)]
    layers = {}
    for name in picked:
        bn = model.get_submodule(name)
        layers[name] = {
            "running_mean": counter.sample(numpy(bn.running_mean), 8),
            "running_var": counter.sample(numpy(bn.running_var), 8),
            "num_batches_tracked": int(bn.num_batches_tracked),
        }
    return layers


def golden(scale):
    model = build(scale)
    assert all(p.dtype == torch.float64 for p in model.parameters())
    image = torch.from_numpy(counter.uniform("input", SHAPE))
    golden = {"model": f"yolo12{scale}", "nc": 80, "input_shape": list(SHAPE)}
    golden["parameters"] = sum(p.numel() for p in model.parameters())
    for mode in ("eval", "train"):
        model.load_state_dict(formula_state(model))
        tensors, layers = run(model, image, mode == "train")
        golden[mode] = {name: counter.sample(t) for name, t in tensors.items()}
        golden[mode]["layers"] = layers
    golden["train"]["statistics"] = statistics(model)
    return golden


def main():
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    folder, *scales = sys.argv[1:]
    for scale in scales or "nsmlx":
        counter.write(Path(folder) / f"forward_{scale}.json", golden(scale))
        print(f"forward_{scale}.json", flush=True)


if __name__ == "__main__":
    main()
