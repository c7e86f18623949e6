"""Joins the outputs of `loss.py` into loss.json: `loss_check.py OLD_FILE NEW_FILE OUTPUT_FOLDER`.

Before it writes, it checks them by a second route: the loss of every case computed again in NumPy, written from the
maths (task-aligned assignment, CIoU, distribution focal loss, BCE), a few gradients by central differences, and the two
versions against each other on the cases whose objects have all sides of 16 px or more, where they must agree.
It adds `tie_sensitive`: whether another order among equal metrics gives another assignment: "no"; "zero": only among
foreground anchors of score zero, which do not count in the loss; "yes": among the others too.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np

import cases
import counter

TOPK, ALPHA, BETA, EPS, IOU_EPS, BINS = 10, 0.5, 6.0, 1e-9, 1e-7, 16
GAINS = (7.5, 0.5, 1.5)
TOLERANCE = 1e-11


def anchors(case):
    """Centres in pixels [A, 2] and strides [A, 1]."""
    centres, strides = [], []
    for s in cases.STRIDES:
        y, x = np.mgrid[0 : case["height"] // s, 0 : case["width"] // s]
        centres.append((np.stack((x, y), -1).reshape(-1, 2) + 0.5) * s)
        strides.append(np.full((x.size, 1), float(s)))
    return np.concatenate(centres), np.concatenate(strides)


def ciou(a, b):
    """CIoU of xyxy boxes, broadcast over the leading axes; also the weight of the aspect term, which has no gradient."""
    wa, ha = a[..., 2] - a[..., 0], a[..., 3] - a[..., 1] + IOU_EPS
    wb, hb = b[..., 2] - b[..., 0], b[..., 3] - b[..., 1] + IOU_EPS
    inner = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(-1)
    iou = inner / (wa * ha + wb * hb - inner + IOU_EPS)
    outer = np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])
    distance = (((b[..., :2] + b[..., 2:] - a[..., :2] - a[..., 2:]) / 2) ** 2).sum(-1)
    v = 4 / math.pi**2 * (np.arctan(wb / hb) - np.arctan(wa / ha)) ** 2
    weight = v / (1 - iou + v + IOU_EPS)
    return iou - distance / ((outer**2).sum(-1) + IOU_EPS), v, weight


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def decode(case, boxes):
    """Boxes in grid units [B, A, 4], and the distributions' log-probabilities [B, A, 4, 16]."""
    centres, strides = anchors(case)
    logits = boxes.transpose(0, 2, 1).reshape(case["batch"], -1, 4, BINS)
    p = softmax(logits)
    d = p @ np.arange(BINS, dtype=np.float64)
    grid = centres / strides
    return np.concatenate((grid - d[..., :2], grid + d[..., 2:]), -1), np.log(p)


def assign(case, image, scores, pixels, floor, tie_order):
    """{anchor: (object, target score)} of one image; `tie_order` permutes the anchors before the stable sort."""
    centres, _ = anchors(case)
    rows = np.array([t[1:] for t in case["targets"] if t[0] == image]).reshape(-1, 5)
    if not len(rows):
        return {}, rows
    scale = np.array([case["width"], case["height"]])
    middle, side = rows[:, 1:3] * scale, rows[:, 3:5] * scale
    gt = np.concatenate((middle - side / 2, middle + side / 2), 1)
    wide = np.maximum(side, floor)
    low, high = (gt[:, :2], gt[:, 2:]) if floor == 0 else (middle - wide / 2, middle + wide / 2)
    inside = (np.minimum(centres[None] - low[:, None], high[:, None] - centres[None]) > EPS).all(-1)
    base, v, weight = ciou(gt[:, None], pixels[None])
    overlap = np.where(inside, np.clip(base - v * weight, 0, None), 0.0)
    metric = np.where(inside, scores[:, rows[:, 0].astype(int)].T ** ALPHA * overlap**BETA, 0.0)
    chosen = np.zeros_like(inside)
    for g, row in enumerate(metric):
        best = tie_order[np.argsort(-row[tie_order], kind="stable")][:TOPK]
        chosen[g, best] = inside[g, best]
    several = chosen.sum(0) > 1
    winner = np.zeros_like(chosen)
    winner[overlap.argmax(0), np.arange(len(centres))] = True
    chosen = np.where(several, winner, chosen)
    kept, kept_overlap = metric * chosen, overlap * chosen
    target = (kept * kept_overlap.max(1, keepdims=True) / (kept.max(1, keepdims=True) + EPS)).max(0)
    return {int(a): (int(chosen[:, a].argmax()), float(target[a])) for a in np.flatnonzero(chosen.any(0))}, np.c_[rows[:, :1], gt]


def loss(name, boxes, scores, floor, tie_order=None, fixed=None):
    """(items, total, foreground rows, frozen state); `fixed` reuses what the gradient treats as constant."""
    case = cases.CASES[name]
    _, strides = anchors(case)
    order = np.arange(len(strides)) if tie_order is None else tie_order
    grid, logp = decode(case, boxes)
    logits = scores.transpose(0, 2, 1)
    target = np.zeros(logits.shape)
    if fixed is None:
        fixed = {"assigned": [assign(case, i, sigmoid(logits[i]), grid[i] * strides, floor, order) for i in range(case["batch"])]}
        fixed["aspect"] = {}
    box_sum = dfl_sum = 0.0
    foreground = []
    for image, (assigned, rows) in enumerate(fixed["assigned"]):
        for a, (g, t) in sorted(assigned.items()):
            target[image, a, int(rows[g, 0])] = t
            foreground.append([image, a, g, t])
            gt = rows[g, 1:] / strides[a]
            base, v, weight = ciou(grid[image, a], gt)
            weight = fixed["aspect"].setdefault((image, a), weight)
            box_sum += (1 - (base - v * weight)) * t
            centre = anchors(case)[0][a] / strides[a]
            d = np.clip(np.concatenate((centre - gt[:2], gt[2:] - centre)), 0, BINS - 1 - 0.01)
            left = d.astype(int)
            side = np.arange(4)
            lp = logp[image, a]
            dfl_sum += -(lp[side, left] * (left + 1 - d) + lp[side, left + 1] * (d - left)).mean() * t
    total_score = max(target.sum(), 1.0)
    bce = (np.maximum(logits, 0) - logits * target + np.log1p(np.exp(-np.abs(logits)))).sum()
    items = [g * s / total_score for g, s in zip(GAINS, (box_sum, bce, dfl_sum))]
    return items, sum(items) * case["batch"], foreground, fixed


def close(a, b, what, tolerance=TOLERANCE):
    if not np.allclose(a, b, rtol=tolerance, atol=tolerance):
        raise SystemExit(f"{what}: {a} against {b}")


def difference(name, boxes, scores, key, index, floor, fixed):
    """The derivative of the total by one entry of `key`, by central differences."""
    step, ends = 1e-5, []
    for sign in (1, -1):
        pair = {"boxes": boxes.copy(), "scores": scores.copy()}
        pair[key].reshape(-1)[index] += sign * step
        ends.append(loss(name, pair["boxes"], pair["scores"], floor, fixed=fixed)[1])
    return (ends[0] - ends[1]) / (2 * step)


def check_gradient(name, stored, boxes, scores, fixed, floor):
    """The first four entries of each stored list of gradient samples by central differences."""
    for k, z in enumerate(int(z) for z in counter.splitmix64(np.arange(4, dtype=np.uint64))):
        entries = [("boxes", z % boxes.size, "samples"), ("scores", z % scores.size, "samples")]
        if stored["foreground"]:
            row, channel = divmod(z % (len(stored["foreground"]) * 64), 64)
            image, anchor = stored["foreground"][row][:2]
            entries.append(("boxes", (image * 64 + channel) * boxes.shape[2] + anchor, "foreground_samples"))
        for key, index, kind in entries:
            by_difference = difference(name, boxes, scores, key, index, floor, fixed)
            close(stored[f"grad_{key}"][kind][k], by_difference, f"{name} grad_{key} {kind}[{k}]", 1e-6)


def keys(foreground, above=-1.0):
    """(image, anchor, object) of the foreground rows whose score is greater than `above`."""
    return [tuple(f[:3]) for f in foreground if f[3] > above]


def check(name, stored, floor):
    """Compares one stored case with NumPy; returns it with `tie_sensitive` added."""
    boxes, scores = cases.head_outputs(name)
    items, total, foreground, fixed = loss(name, boxes, scores, floor)
    count = boxes.shape[2]
    orders = [np.arange(count)[::-1]] + [np.argsort(counter.uniform(f"order{k}", (count,))) for k in range(4)]
    others = [loss(name, boxes, scores, floor, o)[2] for o in orders]
    sensitive = "no"
    if any(keys(o) != keys(foreground) for o in others):
        sensitive = "zero" if all(keys(o, 0.0) == keys(foreground, 0.0) for o in others) else "yes"
    above = -1.0 if sensitive == "no" else 0.0
    same = keys(stored["foreground"], above) == keys(foreground, above)
    if not same and sensitive != "yes":
        raise SystemExit(f"{name}: another assignment in NumPy")
    close(list(stored["items"].values()), items, f"{name} items")
    close(stored["total"], total, f"{name} total")
    if same:
        positive = [[f[3] for f in rows if f[3] > 0] for rows in (stored["foreground"], foreground)]
        close(*positive, f"{name} scores")
        check_gradient(name, stored, boxes, scores, fixed, floor)
    print(f"{name} (floor {floor}): " + ("agrees with NumPy" if same else "NumPy breaks ties otherwise") + f", tie sensitive: {sensitive}")
    out = {k: v for k, v in stored.items() if k != "foreground"}
    return {**out, "tie_sensitive": sensitive, "foreground": stored["foreground"]}


def main():
    old, new = (json.loads(Path(p).read_text()) for p in sys.argv[1:3])
    if (old["version"], new["version"]) != ("8.3.63", "8.4.190"):
        raise SystemExit(f"wrong versions: {old['version']}, {new['version']}")
    for name, a in old["cases"].items():
        b = new["cases"][name]
        if all(t[4] * a["width"] >= 16 and t[5] * a["height"] >= 16 for t in a["targets"]):
            close(a["total"], b["total"], f"{name}: 8.3.63 against 8.4.190")
            for g in ("grad_boxes", "grad_scores"):
                close(a[g]["samples"], b[g]["samples"], f"{name} {g}: 8.3.63 against 8.4.190")
    out = {
        "reference": {"cases": old["version"], "floor16": new["version"]},
        "cases": {name: check(name, c, 0) for name, c in old["cases"].items()},
        "floor16": {name: check(name, new["cases"][name], 16) for name in cases.FLOOR16},
    }
    counter.write(Path(sys.argv[3]) / "loss.json", out)


if __name__ == "__main__":
    main()
