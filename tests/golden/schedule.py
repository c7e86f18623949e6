"""Writes ema_schedule.json with the code of ultralytics 8.3.63: `schedule.py OUTPUT_FOLDER`.

The trainer of 8.3.63 itself runs here, its set-up and its loop, with a stand-in for everything that would need data: a
network of three layers (one tensor for each parameter group) and a loader that only has a length. Nothing is a formula
of ours: optimizer, rates, momentum, accumulation and EMA decay are read from its objects.
"""

import math
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch

import counter

AUTO = [  # n_images, batch, epochs, nc
    (205, 8, 30, 3),
    (128, 16, 100, 80),
    (5000, 16, 200, 1),
    (6400, 64, 100, 20),  # exactly 10000 iterations
    (6401, 64, 100, 20),  # one image more
    (6401, 16, 100, 20),
    (33300, 100, 30, 5),
    (33301, 100, 31, 5),
    (118287, 256, 600, 80),
]
LAST = 120  # last iteration recorded of a warm-up run


class Stop(Exception):
    """Ends a run after the iterations of interest."""


class Net(torch.nn.Module):
    """A convolution without bias, a normalisation and a bias: the three parameter groups."""

    def __init__(self, nc):
        super().__init__()
        self.nc = nc
        self.conv = torch.nn.Conv2d(3, 4, 1, bias=False)
        self.bn = torch.nn.BatchNorm2d(4)

    def forward(self, batch):
        loss = self.bn(self.conv(batch["img"])).square().mean()
        return loss, loss.detach()[None]


class Loader:
    """A loader of `n` images without images."""

    num_workers = 0

    def __init__(self, n, batch):
        self.dataset, self.batch = range(n), batch

    def __len__(self):
        return math.ceil(len(self.dataset) / self.batch)

    def __iter__(self):
        image = torch.arange(48.0).reshape(1, 3, 4, 4) / 48
        return iter([{"img": image, "cls": torch.zeros(1)}] * len(self))

    def reset(self):
        pass


def trainer(n, batch, epochs, nc, folder, **options):
    """8.3.63's trainer with the stand-ins."""
    from ultralytics.engine.trainer import BaseTrainer

    class Trainer(BaseTrainer):
        def get_dataset(self):
            return None, None

        def setup_model(self):
            self.model = Net(nc)

        def set_model_attributes(self):
            pass

        def get_dataloader(self, *_args, **_options):
            return Loader(n, batch)

        def get_validator(self):
            return SimpleNamespace(metrics=SimpleNamespace(keys=[]))

    settings = {"batch": batch, "epochs": epochs, "device": "cpu", "amp": False, "val": False, "save": False, "plots": False}
    return Trainer(overrides={**settings, "project": folder, "model": "stub.yaml", **options})


def decays(t):
    """Weight decay of the groups bias, weight, norm."""
    return [float(g["weight_decay"]) for g in t.optimizer.param_groups]


def automatic(n, batch, epochs, nc, folder):
    """What optimizer=auto makes of a run."""
    t = trainer(n, batch, epochs, nc, folder, optimizer="auto")
    t._setup_train(0)
    first = t.optimizer.param_groups[0]
    momentum = first["momentum"] if "momentum" in first else first["betas"][0]
    return {
        "n_images": n,
        "batch": batch,
        "epochs": epochs,
        "nc": nc,
        "optimizer": type(t.optimizer).__name__,
        "lr": first["initial_lr"],
        "momentum": momentum,
        "warmup_bias_lr": t.args.warmup_bias_lr,
        "accumulate": t.accumulate,
        "weight_decay": decays(t),
    }


def warmup(n, batch, epochs, nc, folder, **options):
    """Rates, momentum and accumulation of the first iterations, every tenth, and the iterations that stepped."""
    t = trainer(n, batch, epochs, nc, folder, **options)
    rows, steps, seen = [], [], [0]

    def after(trainer):
        ni = seen[0]
        if trainer.ema.updates > len(steps):
            steps.append(ni)
        if ni % 10 == 0:
            groups = trainer.optimizer.param_groups
            lr = dict(zip(("bias", "weight", "norm"), (float(g["lr"]) for g in groups)))
            row = {"iteration": ni, "epoch": trainer.epoch, "lr": lr}
            if "momentum" in groups[0]:
                row["momentum"] = float(groups[0]["momentum"])
            rows.append({**row, "accumulate": trainer.accumulate})
        if ni == LAST:
            raise Stop
        seen[0] += 1

    t.add_callback("on_train_batch_end", after)
    try:
        t.train()
    except Stop:
        pass
    a = t.args
    out = {"n_images": n, "batch": batch, "epochs": epochs, "nc": nc, "nbs": a.nbs, "optimizer": type(t.optimizer).__name__}
    out |= {"lr0": a.lr0, "lrf": a.lrf, "momentum": a.momentum, "cos_lr": a.cos_lr, "warmup_epochs": a.warmup_epochs}
    out |= {"warmup_momentum": a.warmup_momentum, "warmup_bias_lr": a.warmup_bias_lr}
    out |= {"initial_lr": t.optimizer.param_groups[0]["initial_lr"], "weight_decay": decays(t)}
    return {**out, "steps": steps, "iterations": rows}


def main():
    from ultralytics.utils.torch_utils import ModelEMA

    ema = ModelEMA(torch.nn.Linear(1, 1))
    with tempfile.TemporaryDirectory() as folder:
        run = (205, 8, 30, 3, folder)
        long = (205, 8, 3000, 3, folder)  # more than 10000 iterations, so that auto takes SGD
        out = {
            "reference": "8.3.63",
            "auto": [automatic(*row, folder) for row in AUTO],
            "warmup": {
                "sgd_linear": warmup(*run, optimizer="SGD", lr0=0.01),
                "sgd_cosine": warmup(*run, optimizer="SGD", lr0=0.01, cos_lr=True),
                "auto_adamw": warmup(*run, optimizer="auto"),
                "auto_sgd": warmup(*long, optimizer="auto"),
            },
            "ema": {"decay": [[u, ema.decay(u)] for u in (1, 10, 100, 1000, 10000)]},
        }
    counter.write(Path(sys.argv[1]) / "ema_schedule.json", out)


if __name__ == "__main__":
    main()
