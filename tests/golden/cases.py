"""The loss cases: input size, targets and how the head's outputs are made by the counter formula.

Head outputs of case NAME, with u from the formula under `NAME.boxes` and `NAME.scores`:
    boxes[b, side*16 + bin, a]  = (2u - 1) * amp + (peak if bin == bins[level of a] else 0)
    scores[b, class, a]         = (2u - 1) * amp + shift
Targets are rows [image, class, cx, cy, w, h], normalised, grouped by image.
"""

import numpy as np

import counter

STRIDES = (8, 16, 32)
H, W = 96, 128


def px(image, cls, x1, y1, x2, y2):
    """A target row from pixel corners."""
    return [image, cls, (x1 + x2) / 2 / W, (y1 + y2) / 2 / H, (x2 - x1) / W, (y2 - y1) / H]


def scattered(name, image, count, nc, low, high):
    """`count` boxes with sides in [low, high) px inside the image, by the formula; six decimals."""
    rows = []
    for cls, side_x, side_y, at_x, at_y in counter.uniform(f"{name}.targets{image}", (count, 5)):
        w, h = (low + (high - low) * side_x) / W, (low + (high - low) * side_y) / H
        box = (w / 2 + (1 - w) * at_x, h / 2 + (1 - h) * at_y, w, h)
        rows.append([image, int(cls * nc), *(round(float(v), 6) for v in box)])
    return rows


def case(nc, batch, targets, amp=2.0, peak=6.0, bins=(2, 1, 1), scores=(3.0, -1.0)):
    return {
        "nc": nc,
        "batch": batch,
        "height": H,
        "width": W,
        "boxes": {"amp": amp, "peak": peak, "bins": list(bins)},
        "scores": {"amp": scores[0], "shift": scores[1]},
        "targets": targets,
    }


CASES = {
    "empty_batch": case(3, 2, []),
    "one_empty_image": case(2, 2, scattered("one_empty_image", 1, 3, 2, 20, 60)),
    "one_object": case(3, 1, [px(0, 1, 37.3, 20.9, 80.1, 66.6)]),
    "crowded": case(
        5, 2, scattered("crowded", 0, 44, 5, 16, 48) + scattered("crowded", 1, 3, 5, 20, 60), peak=5.0, bins=(2, 1, 0)
    ),
    # Sides below 8 px: the first holds no anchor centre of any level, the second one of the stride-16 level only.
    "tiny_8": case(
        3,
        2,
        [px(0, 0, 8.4, 5.2, 11.7, 11.9), px(0, 2, 21.2, 37.1, 27.6, 42.9), px(0, 1, 50.2, 49.8, 57.3, 56.1)]
        + [px(1, 1, 81.4, 17.0, 88.3, 24.2), px(1, 0, 97.9, 72.2, 105.2, 79.5)],
        bins=(0, 0, 0),
    ),
    # Sides below 16 px, above and around 8.
    "tiny_16": case(
        4,
        2,
        [px(0, 3, 10.3, 9.1, 22.8, 19.7), px(0, 0, 60.7, 41.0, 75.9, 50.3), px(0, 1, 100.1, 70.2, 108.4, 85.1)]
        + [px(1, 2, 33.3, 33.9, 48.1, 47.2)],
        bins=(1, 0, 0),
    ),
    "mixed_sizes": case(
        3,
        2,
        [px(0, 0, 8.4, 10.3, 70.2, 81.0), px(0, 1, 40.2, 41.3, 46.7, 48.1), px(0, 2, 88.8, 50.7, 99.1, 90.2)]
        + [px(1, 1, 20.6, 30.2, 95.7, 43.9)],
        bins=(3, 1, 1),
    ),
    "mixed_counts": case(
        4,
        3,
        scattered("mixed_counts", 0, 1, 4, 20, 60)
        + scattered("mixed_counts", 1, 4, 4, 20, 60)
        + scattered("mixed_counts", 2, 9, 4, 16, 70),
    ),
    # Two objects of nearly the same place: every anchor of the smaller is a candidate of the larger too.
    "conflict": case(2, 1, [px(0, 0, 40.5, 30.2, 72.9, 62.4), px(0, 1, 44.7, 33.6, 70.3, 60.1)], peak=7.0),
    # Identical boxes, same class and other class: the overlaps tie between objects, the lower index wins.
    "ties_objects": case(
        3,
        1,
        [px(0, 1, 32.0, 24.0, 72.0, 60.0), px(0, 1, 32.0, 24.0, 72.0, 60.0), px(0, 2, 32.0, 24.0, 72.0, 60.0)]
        + [px(0, 0, 84.0, 44.0, 124.0, 88.0)],
    ),
    # All head outputs constant: anchors placed symmetrically in a box tie, also at the border of the best ten.
    "ties_anchors": case(
        2,
        2,
        [px(0, 0, 32.0, 16.0, 80.0, 64.0), px(0, 1, 32.0, 16.0, 80.0, 64.0), px(1, 1, 16.0, 16.0, 112.0, 80.0)],
        amp=0.0,
        scores=(0.0, 0.5),
    ),
    # Boxes that end at the image's border, and one whose edges pass exactly through anchor centres.
    "border": case(
        3,
        1,
        [px(0, 0, 0.0, 0.0, 36.5, 41.0), px(0, 1, 85.2, 60.3, 128.0, 96.0), px(0, 2, 4.0, 48.0, 36.0, 72.0)],
    ),
    # Distances beyond the 15 bins at stride 8: the clamp at 14.99.
    "spanning": case(
        2, 2, [px(0, 1, 0.0, 0.0, 128.0, 96.0), px(1, 0, 0.7, 2.2, 127.4, 93.8)], peak=5.0, bins=(8, 4, 2)
    ),
    # No peak: boxes of about 15 strides a side whatever the level, far larger than the objects.
    "plain": case(4, 2, scattered("plain", 0, 3, 4, 20, 60) + scattered("plain", 1, 2, 4, 60, 90), peak=0.0),
    # Flat objects under small square predictions: towards the ends CIoU is negative, so the metric is zero there, and
    # fewer than ten candidates have one: the best ten are filled up from a tie at zero.
    "zero_metric": case(
        2, 1, [px(0, 0, 2.3, 45.1, 126.2, 53.7), px(0, 1, 57.2, 2.4, 64.8, 93.1), px(0, 1, 90.1, 30.3, 120.2, 70.9)], bins=(0, 0, 0)
    ),
    "one_class": case(1, 2, scattered("one_class", 0, 5, 1, 18, 64) + scattered("one_class", 1, 2, 1, 18, 64)),
}

FLOOR16 = ("tiny_8", "tiny_16", "mixed_sizes")


def head_outputs(name):
    """(boxes [B, 64, A], scores [B, nc, A]) of a case, float64."""
    c = CASES[name]
    level = np.repeat(np.arange(3), [c["height"] // s * (c["width"] // s) for s in STRIDES])
    shape = (c["batch"], 64, level.size)
    peak = np.where(np.arange(64)[:, None] % 16 == np.array(c["boxes"]["bins"])[level][None], c["boxes"]["peak"], 0.0)
    boxes = (2.0 * counter.uniform(f"{name}.boxes", shape) - 1.0) * c["boxes"]["amp"] + peak
    shape = (c["batch"], c["nc"], level.size)
    scores = (2.0 * counter.uniform(f"{name}.scores", shape) - 1.0) * c["scores"]["amp"] + c["scores"]["shift"]
    return boxes, scores
