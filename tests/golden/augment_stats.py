"""Runs the installed ultralytics' training set on `coco-open`: `augment_stats.py DATA FOLDER` writes augment_stats.json.

2,000 samples for each of the recipes below; of every figure mean, deviation and the quantiles 1/50 to 49/50. For 8.3.63.
The labels are made here from the annotations, as the test makes them: the boxes, or the largest outline of each object.
"""

import json
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
from ultralytics.cfg import get_cfg
from ultralytics.data.dataset import YOLODataset

SAMPLES = 2000
IMGSZ = 320
NONE = {"degrees": 0, "translate": 0, "scale": 0, "shear": 0, "perspective": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0, "flipud": 0,
        "fliplr": 0, "mosaic": 0, "mixup": 0, "copy_paste": 0}
RECIPES = {
    "default": ("boxes", {"mosaic": 1.0, "translate": 0.1, "scale": 0.5, "fliplr": 0.5, "hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4}),
    "large": ("polygons", {"mosaic": 1.0, "translate": 0.1, "scale": 0.9, "fliplr": 0.5, "copy_paste": 0.5, "mixup": 0.15}),
    "turned": ("polygons", {"degrees": 20.0, "translate": 0.2, "scale": 0.3, "shear": 5.0, "flipud": 0.5}),
}


def area(outline):
    x, y = np.array(outline[0::2]), np.array(outline[1::2])
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


def rows(annotation, classes, image, kind):
    """One label row, or none."""
    box, (width, height) = annotation["bbox"], (image["width"], image["height"])
    if annotation["iscrowd"] or min(box[2:]) <= 0:
        return []
    if kind == "boxes":
        values = [(box[0] + box[2] / 2) / width, (box[1] + box[3] / 2) / height, box[2] / width, box[3] / height]
    else:
        outline = max(annotation["segmentation"], key=area)
        values = [value / (width, height)[i % 2] for i, value in enumerate(outline)]
    return [" ".join([str(classes[annotation["category_id"]]), *(f"{min(max(value, 0), 1):.6f}" for value in values)])]


def dataset(data, folder, kind):
    """A YOLO folder with the pictures of coco-open's training split; its picture folder."""
    truth = json.loads((data / "annotations/instances_train2017.json").read_text())
    classes = {category: i for i, category in enumerate(sorted(category["id"] for category in truth["categories"]))}
    root = folder / kind
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    for image in truth["images"]:
        name = image["file_name"]
        (root / "images" / name).symlink_to(data / "images/train2017" / name)
        own = [row for a in truth["annotations"] if a["image_id"] == image["id"] for row in rows(a, classes, image, kind)]
        (root / "labels" / name).with_suffix(".txt").write_text("".join(row + "\n" for row in own))
    return root / "images", {i: str(i) for i in range(len(classes))}


def summary(values):
    values = np.asarray(values, dtype=np.float64)
    quantiles = np.quantile(values, np.arange(1, 50) / 50, method="inverted_cdf")
    digits = lambda value: float(f"{value:.6g}")
    return {"n": len(values), "mean": digits(values.mean()), "deviation": digits(values.std()),
            "quantiles": [digits(quantile) for quantile in quantiles]}


def run(images, names, options):
    cfg = get_cfg(overrides={**NONE, **options, "imgsz": IMGSZ, "task": "detect"})
    data = {"names": names, "nc": len(names), "channels": 3}
    samples = YOLODataset(img_path=str(images), imgsz=IMGSZ, batch_size=16, augment=True, hyp=cfg, rect=False, cache=None,
                          single_cls=False, stride=32, pad=0.0, task="detect", data=data)
    figures = {key: [] for key in ("x", "y", "width", "height", "aspect", "count", "pixel_mean", "pixel_variance")}
    order = []
    for _ in range(len(samples)):  # fills the buffer that partners come from
        samples[len(order) % len(samples)]
    for _ in range(SAMPLES):
        if not order:
            order = random.sample(range(len(samples)), len(samples))
        sample = samples[order.pop()]
        x, y, width, height = sample["bboxes"].numpy().reshape(-1, 4).T
        for key, values in zip(figures, (x, y, width, height, np.log(width / height))):
            figures[key].extend(values)
        pixels = sample["img"].numpy().astype(np.float64)
        figures["count"].append(len(x))
        figures["pixel_mean"].append(pixels.mean())
        figures["pixel_variance"].append(pixels.var())
    return {key: summary(values) for key, values in figures.items()}


def main():
    data, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    random.seed(0)
    np.random.seed(0)
    stats = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (kind, options) in RECIPES.items():
            target = Path(folder) / name
            images, names = dataset(data, target, kind)
            stats[name] = {"labels": kind, "options": options, "figures": run(images, names, options)}
    text = json.dumps({"imgsz": IMGSZ, "samples": SAMPLES, "recipes": stats}, separators=(",", ":"))
    (out / "augment_stats.json").write_text(text.replace("},", "},\n") + "\n")


main()
