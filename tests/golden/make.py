"""Regenerates every golden in this folder (or in the folder named): `python3 make.py [FOLDER]`.

It makes a throw-away virtual environment, installs ultralytics 8.4.190 and, beside it, 8.3.63 from the package index,
runs the scripts of this folder under them as separate programs, and removes the environment. Two interpreters that
have them already can be named instead, each a command line:

    GOLDEN_8_4_190=".../bin/python"  GOLDEN_8_3_63="env PYTHONPATH=... .../bin/python"  python3 make.py

The outputs are deterministic: the scripts run with one thread and the numbers depend on no seed.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = ["torch==2.11.0", "ultralytics==8.4.190", "tqdm", "pandas", "seaborn", "py-cpuinfo"]
OLD = "ultralytics==8.3.63"


def install(folder):
    """Command lines of the two interpreters, installed under `folder`."""
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PACKAGES], check=True)
    subprocess.run([*pip, "--no-deps", "--target", str(folder / "old"), OLD], check=True)
    return [python], ["env", f"PYTHONPATH={folder / 'old'}", python]


def interpreters(folder):
    named = [shlex.split(os.environ.get(key, "")) for key in ("GOLDEN_8_4_190", "GOLDEN_8_3_63")]
    return named if all(named) else install(folder)


def run(folder, python, script, *arguments):
    """Runs a script of this folder with its own settings folder and without network use by ultralytics."""
    settings = folder / f"settings{len(list(folder.glob('settings*')))}"
    settings.mkdir()
    quiet = {"YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(settings)}
    environment = {**os.environ, **quiet, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*python, str(HERE / script), *map(str, arguments)]
    result = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{script} failed:\n{result.stdout[-2000:]}{result.stderr[-4000:]}")
    return result.stdout


def main():
    out = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else HERE
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        new, old = interpreters(folder)
        run(folder, new, "forward.py", out)
        run(folder, new, "trajectory.py", out)
        run(folder, new, "optimizer.py", out)
        run(folder, new, "loss.py", folder / "new.json")
        run(folder, old, "loss.py", folder / "old.json")
        print(run(folder, old, "loss_check.py", folder / "old.json", folder / "new.json", out), end="")
        run(folder, old, "schedule.py", out)
        run(folder, old, "augment.py", out)
        data = Path(os.environ.get("TRAINER_REAL_DATA", HERE / "../../../shared/data")) / "coco-open"
        if data.is_dir():
            run(folder, old, "augment_stats.py", data, out)
        else:
            print(f"augment_stats.json: left as it is, there is no {data} (TRAINER_REAL_DATA)")
    for path in sorted(out.glob("*.json")):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
