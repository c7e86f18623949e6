"""Writes optimizer.json: weights after a few steps of ultralytics 8.4.190's optimizers: `optimizer.py OUTPUT_FOLDER`.

Its own trainer builds them over yolo12n with three classes. Weights and gradients are made by the counter formula: those of
the tensors in WATCHED, one of every kind; all other gradients are zero. The norm of all gradients stays below the clip.

In float64, where Muon's iteration, which the reference runs in bfloat16, is left in float64 too; and MuSGD once more as it
is, in float32 and bfloat16.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

import counter

CLASSES, LR, MOMENTUM, WEIGHT_DECAY = 3, 0.01, 0.937, 0.05
# Learning rate as a share of LR, and momentum, of each step; AdamW's betas stay (MOMENTUM, 0.999).
STEPS = [(1.0, 0.8), (0.5, 0.85), (2.0, 0.9), (0.25, 0.937)]
WATCHED = [
    "model.0.conv.weight",  # 16 x 27
    "model.0.bn.weight",
    "model.0.bn.bias",
    "model.2.cv2.conv.weight",  # 64 x 48, taller than wide
    "model.21.cv2.0.2.weight",  # 64 x 64
    "model.21.cv2.0.2.bias",
    "model.21.cv3.0.0.0.conv.weight",  # class branch, one input channel a group: 64 x 9
    "model.21.cv3.0.0.1.bn.weight",
    "model.21.cv3.0.2.weight",  # class branch, 3 x 64
    "model.21.cv3.0.2.bias",
]


def gradient(name, step, shape):
    return (counter.uniform(f"{name}.gradient{step}", shape) - 0.5) * 0.1


def run(name, dtype):
    from ultralytics.engine.trainer import BaseTrainer
    from ultralytics.nn.tasks import DetectionModel

    torch.set_default_dtype(dtype)
    model = DetectionModel("yolo12n.yaml", ch=3, nc=CLASSES, verbose=False).to(dtype)
    parameters = {k: p for k, p in model.named_parameters() if ".dfl." not in k}
    for k, p in parameters.items():
        p.data = torch.from_numpy(np.asarray(counter.value(k, p.shape))).to(dtype)
    before = {k: parameters[k].detach().double().clone().numpy() for k in WATCHED}
    trainer = SimpleNamespace(args=SimpleNamespace(), data={"nc": CLASSES})
    build = BaseTrainer.build_optimizer
    optimizer = build(trainer, model, name=name, lr=LR, momentum=MOMENTUM, decay=WEIGHT_DECAY)
    assert type(optimizer).__name__ == name
    first = [group["lr"] for group in optimizer.param_groups]
    for step, (share, momentum) in enumerate(STEPS):
        for k, p in parameters.items():
            p.grad = torch.zeros_like(p)
            if k in WATCHED:
                p.grad = torch.from_numpy(gradient(k, step, p.shape)).to(dtype)
        norm = torch.stack([p.grad.norm() for p in parameters.values()]).norm()
        assert norm < 10, "the trainer would clip"
        for group, lr in zip(optimizer.param_groups, first):
            group["lr"] = lr * share
            if "momentum" in group:
                group["momentum"] = momentum
        optimizer.step()
    after = {k: parameters[k].detach().double().numpy() for k in WATCHED}
    return {k: counter.sample(after[k] - before[k], 16) for k in WATCHED}


def main():
    import ultralytics

    torch.use_deterministic_algorithms(True)
    out = {"reference": ultralytics.__version__, "classes": CLASSES, "lr": LR, "momentum": MOMENTUM}
    out |= {"weight_decay": WEIGHT_DECAY, "steps": STEPS, "moved_bfloat16": {"MuSGD": run("MuSGD", torch.float32)}}
    torch.Tensor.bfloat16 = lambda tensor: tensor
    out["moved"] = {name: run(name, torch.float64) for name in ("SGD", "AdamW", "MuSGD")}
    counter.write(Path(sys.argv[1]) / "optimizer.json", out)


if __name__ == "__main__":
    main()
