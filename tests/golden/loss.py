"""Runs the installed ultralytics' detection loss on every case of `cases.py`: `loss.py OUTPUT_FILE`.

Runs under 8.3.63 and under 8.4.190; `loss_check.py` joins the two outputs into loss.json. All in float64, which
takes two measures: torch's default dtype is set first, because the loss makes its accumulator and its padded targets
in the default dtype; and 8.3.63's helper for the result of a box conversion, which always makes float32, is replaced.
"""

import json
import sys
from types import SimpleNamespace

import numpy as np
import torch

import cases
import counter

GAINS = {"box": 7.5, "cls": 0.5, "dfl": 1.5}


class Stub(torch.nn.Module):
    """What the loss reads of a model: a parameter (for the device), the gains and a head's description."""

    def __init__(self, nc):
        super().__init__()
        self.parameter = torch.nn.Parameter(torch.zeros(1))
        self.args = SimpleNamespace(**GAINS)
        stride = torch.tensor([float(s) for s in cases.STRIDES])
        self.model = [SimpleNamespace(stride=stride, nc=nc, no=nc + 64, reg_max=16)]


def predictions(criterion, case, boxes, scores):
    """The head's outputs in the form of the installed version."""
    maps = torch.cat((boxes, scores), 1)
    feats, start = [], 0
    for stride in cases.STRIDES:
        h, w = case["height"] // stride, case["width"] // stride
        feats.append(maps[:, :, start : start + h * w].reshape(case["batch"], -1, h, w))
        start += h * w
    if hasattr(criterion, "parse_output"):  # 8.4
        return {"boxes": boxes, "scores": scores, "feats": feats}
    return feats


def gradient(tensor):
    flat = tensor.grad.numpy()
    stored = counter.sample(flat)
    del stored["std"], stored["mean"]
    return {**stored, "l2": float(np.sqrt((flat**2).sum())), "sum": float(flat.sum())}


def run(name):
    from ultralytics.utils.loss import v8DetectionLoss

    case = cases.CASES[name]
    boxes, scores = (torch.from_numpy(a).requires_grad_() for a in cases.head_outputs(name))
    criterion = v8DetectionLoss(Stub(case["nc"]))
    assigned = {}
    criterion.assigner.register_forward_hook(lambda _m, _in, out: assigned.update(out=out))
    rows = torch.tensor(case["targets"]).reshape(-1, 6)
    batch = {"batch_idx": rows[:, 0], "cls": rows[:, 1], "bboxes": rows[:, 2:]}
    total, items = criterion(predictions(criterion, case, boxes, scores), batch)
    total = total.sum()
    total.backward()
    items = torch.stack(list(items.values())) if isinstance(items, dict) else items
    assert total.dtype == items.dtype == torch.float64, "the loss left float64"
    _, _, target_scores, foreground, objects = assigned["out"]
    assert target_scores.dtype == torch.float64
    listed = [
        [image, anchor, int(objects[image, anchor]), float(target_scores[image, anchor].sum())]
        for image, anchor in foreground.nonzero().tolist()
    ]
    at_foreground = boxes.grad.numpy().transpose(0, 2, 1)[foreground.bool().numpy()]  # [foreground anchors, 64]
    return {
        **case,
        "items": dict(zip(("box", "cls", "dfl"), items.tolist())),
        "total": float(total.detach()),
        "target_scores_sum": max(float(target_scores.sum()), 1.0),
        "foreground_count": len(listed),
        "foreground": listed,
        "grad_boxes": {**gradient(boxes), "foreground_samples": counter.sample(at_foreground)["samples"] if listed else []},
        "grad_scores": gradient(scores),
    }


def main():
    torch.set_default_dtype(torch.float64)
    import ultralytics
    from ultralytics.utils import ops

    ops.empty_like = torch.empty_like  # targets become corners through this: 8.3.63 rounds them to float32
    out = {"version": ultralytics.__version__, "cases": {name: run(name) for name in cases.CASES}}
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(out, file)


if __name__ == "__main__":
    main()
