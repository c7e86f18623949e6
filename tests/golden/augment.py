"""Runs the deterministic parts of the installed ultralytics' augmentations: `augment.py FOLDER` writes augment.json.

Warp matrices for given draws, boxes and outlines moved by them, the filter of objects, letterbox geometry, the tables
of RandomHSV, and cv2's CLAHE of one channel. For 8.3.63. Its matrices are float32, the boxes float32 too.
"""

import json
import random
import sys
from pathlib import Path

import cv2
import numpy as np
from ultralytics.data import augment
from ultralytics.data.augment import LetterBox, RandomHSV, RandomPerspective
from ultralytics.utils.instance import Instances

IMGSZ = 640
DRAWS = 12  # of warps
BOXES = 40  # for each warp
SIZES = [(640, 480), (480, 640), (427, 640), (640, 427), (33, 640), (500, 375), (375, 500), (1000, 3), (3, 7), (612, 612),
         (1280, 721), (641, 640), (17, 16)]  # width, height


def listed(values, digits=6):
    return [round(float(value), digits) for value in np.asarray(values).ravel()]


def warps(rng):
    """Matrices for draws of (tilt x, tilt y, degrees, scale, shear x, shear y, shift x, shift y)."""
    out = []
    for number in range(DRAWS):
        mosaic = number % 2 == 0
        tilt = 0.0005 if number % 3 == 2 else 0.0
        draw = [*rng.uniform(-tilt, tilt, 2), rng.uniform(-45, 45), rng.uniform(0.2, 1.8), *rng.uniform(-10, 10, 2),
                *rng.uniform(0.4, 0.6, 2)]
        stream = iter(draw)
        warp = RandomPerspective(degrees=1, translate=1, scale=1, shear=1, perspective=tilt)
        augment.random = type("Draws", (), {"uniform": staticmethod(lambda low, high: next(stream))})
        side = 2 * IMGSZ if mosaic else IMGSZ
        warp.size = (IMGSZ, IMGSZ)
        border = (-IMGSZ // 2, -IMGSZ // 2) if mosaic else (0, 0)
        _, matrix, scale = warp.affine_transform(np.zeros((side, side, 3), np.uint8), border)
        augment.random = random
        corner = rng.uniform(0, side * 0.9, (BOXES, 2))
        extent = rng.uniform(1, side * 0.3, (BOXES, 2)) * rng.choice([0.03, 0.3, 1], (BOXES, 1))
        boxes = np.concatenate((corner, np.minimum(corner + extent, side)), 1).astype(np.float32)
        none = np.zeros((0, 9, 2), np.float32)
        moved = Instances(warp.apply_bboxes(boxes, matrix), none, bbox_format="xyxy", normalized=False)
        moved.clip(IMGSZ, IMGSZ)
        kept = {share: warp.box_candidates((boxes * np.float32(scale)).T, moved.bboxes.T, area_thr=share) for share in (0.1, 0.01)}
        out.append({"canvas": side, "draw": listed(draw, 9), "matrix": listed(matrix, 9), "boxes": listed(boxes, 4),
                    "moved": listed(moved.bboxes, 3), "kept": [int(k) for k in kept[0.1]], "kept_outlined": [int(k) for k in kept[0.01]]})
    return out


def letterboxes():
    """Where the corners of a picture of each size lie in the input: load_image's resize, then LetterBox."""
    out = []
    for width, height in SIZES:
        ratio = IMGSZ / max(width, height)
        if ratio != 1:
            new = [min(int(np.ceil(side * ratio)), IMGSZ) for side in (width, height)]
        else:
            new = [width, height]
        corners = np.array([[0, 0, *new]], np.float32)
        instances = Instances(corners, segments=np.zeros((0, 9, 2), np.float32), bbox_format="xyxy", normalized=False)
        labels = {"img": np.zeros((new[1], new[0], 3), np.uint8), "instances": instances, "cls": np.zeros((1, 1))}
        done = LetterBox((IMGSZ, IMGSZ))(labels)
        out.append({"size": [width, height], "corners": listed(done["instances"].bboxes, 3)})
    return out


def hsv(rng):
    """The tables for hue, saturation and value, by gains."""
    out = []
    for _ in range(6):
        gains = rng.uniform(-1, 1, 3)
        tables = []
        real, cv2.LUT = cv2.LUT, lambda channel, table: (tables.append(table.tolist()), channel)[1]
        draw, np.random.uniform = np.random.uniform, lambda *_: gains
        RandomHSV(hgain=0.015, sgain=0.7, vgain=0.4)({"img": np.zeros((2, 2, 3), np.uint8)})
        cv2.LUT, np.random.uniform = real, draw
        factors = gains * [0.015, 0.7, 0.4] + 1
        out.append({"gains": [float(f) for f in factors], "hue": tables[0][:180], "saturation": tables[1], "value": tables[2]})
    return out


def clahe():
    """One channel of made-up pixels, (3 x^2 + 7 y^2 + x y) / 9 mod 160 + 40."""
    out = []
    for width, height, limit in [(64, 64, 4.0), (64, 48, 1.5), (50, 37, 2.25)]:
        y, x = np.mgrid[:height, :width]
        image = ((3 * x * x + 7 * y * y + x * y) // 9 % 160 + 40).astype(np.uint8)
        out.append({"size": [width, height], "limit": limit, "pixels": cv2.createCLAHE(limit, (8, 8)).apply(image).ravel().tolist()})
    return out


def main():
    rng = np.random.default_rng(4)
    golden = {"warps": warps(rng), "letterboxes": letterboxes(), "hsv": hsv(rng), "clahe": clahe()}
    (Path(sys.argv[1]) / "augment.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


main()
