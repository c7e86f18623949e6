"""Writes trajectory.json: the losses of 100 steps of training, with ultralytics 8.4.190: `trajectory.py OUTPUT_FOLDER`.

yolo12n with three classes learns from batches made by the counter formula: noise with rectangles painted into it, some of
them below 16 px, so that the assignment floor acts. Its own loss and torch.optim.SGD do the work, one group each for
weights (decayed), norms and biases, gradients clipped to norm 10, no augmentation, no warm-up, no EMA.

Training amplifies rounding: at the rate of the float64 run a difference grows 1e7-fold over the 100 steps, at that of the
float32 run about 100-fold. Hence two runs: float32 at a low rate, and float64 at a higher one, where the loss falls more.
"""

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

import counter

STEPS, IMAGES, SIDE, CLASSES, OBJECTS = 100, 2, 96, 3, 4
GAINS = {"box": 7.5, "cls": 0.5, "dfl": 1.5}
MOMENTUM, WEIGHT_DECAY, CLIP = 0.937, 5e-4, 10.0
RUNS = {"float32": (torch.float32, 0.0004), "float64": (torch.float64, 0.0015)}


def start(name, shape):
    """A tensor of the network before the first step, float64."""
    shape = tuple(shape)
    if name.endswith("dfl.conv.weight"):
        return np.arange(math.prod(shape), dtype=np.float64).reshape(shape)
    if len(shape) == 4:
        # Convolutions before a normalisation are scale-invariant: the larger, the less a step turns them.
        gain = 300.0 if name.endswith(".conv.weight") else 1.0
        return (2.0 * counter.uniform(name, shape) - 1.0) * math.sqrt(gain / math.prod(shape[1:]))
    if name.endswith((".bn.weight", ".running_var")):
        return np.ones(shape)
    if name.endswith((".bn.bias", ".running_mean", "num_batches_tracked")):
        return np.zeros(shape)
    return np.full(shape, -5.0 if ".cv3." in name else 1.0)  # the head's biases: classes and boxes


def batch(step):
    """Images [B, 3, S, S] of step `step`, and rows [image, class, x1, y1, x2, y2] in pixels, float64.

    Each image has OBJECTS rectangles, the first with sides of 6 to 15 pixels, the others of 28 to 47, painted into the
    channel of their class. A box lies 0.3 pixels right of and below its rectangle: no anchor falls on an edge.
    """
    images = 0.5 * counter.uniform(f"trajectory.{step}.images", (IMAGES, 3, SIDE, SIDE))
    rows = []
    for image, objects in enumerate(counter.uniform(f"trajectory.{step}.objects", (IMAGES, OBJECTS, 5))):
        for k, (cls, wide, high, right, down) in enumerate(objects):
            least, span = (6, 10) if k == 0 else (28, 20)
            cls, w, h = int(cls * CLASSES), least + int(wide * span), least + int(high * span)
            x, y = int(right * (SIDE - w)), int(down * (SIDE - h))
            images[image, cls, y : y + h, x : x + w] += 0.5
            rows.append([image, cls, x + 0.3, y + 0.3, x + w + 0.3, y + h + 0.3])
    return np.minimum(images, 1.0), np.array(rows)


def network(dtype):
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel("yolo12n.yaml", ch=3, nc=CLASSES, verbose=False).to(dtype).train()
    state = {k: torch.from_numpy(start(k, v.shape)).to(v.dtype) for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    model.args = SimpleNamespace(**GAINS)
    return model


def optimizer(model, lr):
    groups = {"weight": [], "norm": [], "bias": []}
    for name, parameter in model.named_parameters():
        if ".dfl." in name:
            parameter.requires_grad = False
            continue
        group = "bias" if name.endswith(".bias") else "norm" if ".bn." in name else "weight"
        groups[group].append(parameter)
    decay = {"weight": WEIGHT_DECAY, "norm": 0.0, "bias": 0.0}
    groups = [{"params": parameters, "weight_decay": decay[name]} for name, parameters in groups.items()]
    return torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM, nesterov=True)


def run(dtype, lr):
    torch.set_default_dtype(dtype)
    model = network(dtype)
    sgd, losses = optimizer(model, lr), []
    for step in range(STEPS):
        images, rows = batch(step)
        corners = rows[:, 2:] / SIDE
        centres, sides = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
        tensor = lambda array: torch.from_numpy(np.ascontiguousarray(array)).to(dtype)
        boxes = tensor(np.concatenate((centres, sides), 1))
        targets = {"batch_idx": tensor(rows[:, 0]), "cls": tensor(rows[:, 1]), "bboxes": boxes}
        total, items = model.loss({"img": tensor(images), **targets})
        total.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        sgd.step()
        sgd.zero_grad()
        losses.append([float(item) for item in (items.values() if isinstance(items, dict) else items)])
    return losses


def main():
    import ultralytics

    torch.use_deterministic_algorithms(True)
    out = {"reference": ultralytics.__version__, "steps": STEPS, "images": IMAGES, "side": SIDE, "classes": CLASSES}
    out |= {"objects": OBJECTS, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY, "terms": list(GAINS)}
    for name, (dtype, lr) in RUNS.items():
        out[name] = {"lr": lr, "losses": run(dtype, lr)}
    counter.write(Path(sys.argv[1]) / "trajectory.json", out)


if __name__ == "__main__":
    main()
