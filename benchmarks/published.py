"""The published recipes in full: `python -m benchmarks.published` makes the long runs that are still missing.

Each run's SNRs are written to benchmarks/published/ when it is done, so that the command can be stopped and resumed.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

import metamers
from metamers.matching import Representation, represent, snr_db
from metamers.synthesis import Result

FOLDER = Path(__file__).parent / "published"
RECIPES = ("feather2023", "feather2023-scaled")
IMAGES = 4
CASES = (
    ("cifar_resnet20", "net.layer1"),
    ("cifar_resnet20", "net.layer3"),
    ("cifar_resnet20", "output"),
    ("picto-resnet", "layer3"),
    ("picto-resnet", "output"),
)


def load_case(name: str, n: int = IMAGES) -> tuple[metamers.StagedModel, metamers.StimulusSet]:
    """A model and `n` images to match. Raises MetamersError where the real data are not there."""
    if name == "picto-resnet":
        return metamers.load_model("bundled:picto-resnet"), metamers.load_stimuli(f"bundled:pictograms?n={n}")
    model = metamers.load_model(f"{real_data()}/nets/cifar_nets.py:load:{name}", input_size=32)
    return model, metamers.load_stimuli(str(real_data() / "cifar10" / "test_100.npz"), limit=n)


def load_null(name: str, n: int) -> metamers.StimulusSet:
    """`n` images of the model's kind for its null distribution, none of them among those matched."""
    if name == "picto-resnet":
        return metamers.load_stimuli(f"bundled:pictograms?n={n}&seed=1")
    return metamers.load_stimuli(str(real_data() / "cifar10" / "train_4000.npz"), limit=n)


def real_data() -> Path:
    """The folder of real nets and images. Raises MetamersError where METAMERS_REAL_DATA does not name it."""
    folder = Path(os.environ.get("METAMERS_REAL_DATA", ""))
    if not (folder / "nets").is_dir():
        raise metamers.MetamersError("set METAMERS_REAL_DATA to the folder of real nets and images")
    return folder


def raw_snr(model: metamers.StagedModel, stage: str, images: metamers.StimulusSet, result: Result) -> list[float]:
    """The SNR of each metamer before rounding, in dB (10 log10)."""
    representation = Representation((stage,))
    pair = (represent(model, signals, representation) for signals in (images.read(), result.raw))
    snr: list[float] = snr_db(*pair).tolist()
    return snr


def run(name: str, stage: str, recipe: str) -> dict[str, Any]:
    """One long run of four images."""
    model, images = load_case(name)
    begun = time.monotonic()

    def progress(step: int, limit: int, active: int) -> None:
        if step and step % 2000 == 0:
            left = (time.monotonic() - begun) / step * (limit - step)
            print(f"{name} {stage} {recipe}: step {step} of {limit}, {left:.0f} s left", flush=True)

    result = metamers.synthesize(model, images, stage, recipe=recipe, progress=progress)
    return {
        **{"model": name, "stage": stage, "recipe": recipe, "images": list(images.ids)},
        **{"weights_hash": model.weights_hash(), "n_steps": result.cells[0]["n_steps"]},
        **{"snr_db": raw_snr(model, stage, images, result), "seconds": round(time.monotonic() - begun, 1)},
        **{"torch": torch.__version__, "commit": commit()},
    }


def commit() -> str:
    """The commit that is measured."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True).stdout.strip() or "unknown"


def path_of(name: str, stage: str, recipe: str) -> Path:
    """Where the result of a long run is kept."""
    return FOLDER / f"{name}-{stage}-{recipe}.json"


def main() -> None:
    """Make the runs that are missing."""
    FOLDER.mkdir(exist_ok=True)
    for name, stage in CASES:
        for recipe in RECIPES:
            path = path_of(name, stage, recipe)
            if not path.is_file():
                path.write_text(json.dumps(run(name, stage, recipe), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
