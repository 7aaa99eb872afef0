"""Rebuilds the bundled models: `python -m metamers.training.bundled [NAME ...] [--folder FOLDER]`."""

import argparse
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import torch

from metamers.errors import MetamersError, nearest
from metamers.models.bundled import NAMES, WEIGHTS
from metamers.store import read_config, write_whole
from metamers.training.config import TrainingConfig
from metamers.training.run import WEIGHTS as TRAINED_WEIGHTS
from metamers.training.run import card, train
from metamers.training.trainer import Watch

RECIPES = Path(str(files("metamers.training") / "recipes"))
ABOUT = {
    "image": "it has seen nothing but pictograms and says\nnothing about photographs.",
    "sound": "it has heard nothing but a synthesizer and says\nnothing about people's voices.",
}


def bundled_recipe(name: str) -> Path:
    """A configuration that comes with the package: of a bundled model, or of that architecture trained otherwise.

    Raises MetamersError for an unknown name.
    """
    path = RECIPES / f"{name}.yaml"
    if not path.is_file():
        names = sorted(path.stem for path in RECIPES.glob("*.yaml"))
        raise MetamersError(
            f"no recipe {name!r} comes with the package{nearest(name, names)}; choose {', '.join(names)}"
        )
    return path


def rebuild(name: str, folder: Path) -> dict[str, float]:
    """Train the bundled model `name`, write its weights and card to `folder`, and give its last row of measures."""
    config = read_config(bundled_recipe(name), TrainingConfig)
    with tempfile.TemporaryDirectory() as scratch:
        trained = train(config, Path(scratch) / name, watch=_watch(name))
        write_whole(folder / f"{name}.safetensors", (trained.folder / TRAINED_WEIGHTS).read_bytes())
    facts = {"name": name, "rebuild": f"python -m metamers.training.bundled {name}", "license": "MIT"}
    text = card(trained.model, config, trained.history, config.stimuli, **facts)
    about = f"It exists to demonstrate and test metamers without a download; {ABOUT[trained.model.kind]}\n"
    write_whole(folder / f"{name}.md", f"{text}{about}".encode())
    return trained.history[-1]


def _watch(name: str) -> Watch:
    begun = last = time.monotonic()

    def progress(done: float, total: float, what: str) -> None:
        nonlocal last
        if time.monotonic() - last >= 10:
            last = time.monotonic()
            print(f"{name}: {what}, {(last - begun) / done * (total - done):.0f} s remaining", file=sys.stderr)

    return Watch(progress)


def main() -> None:
    """Rebuild the models named, or all, into the package or another folder."""
    parser = argparse.ArgumentParser(prog="python -m metamers.training.bundled", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--folder", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    torch.set_num_threads(1)  # so that the weights do not depend on the number of cores
    try:
        for name in [name for name in given.names or NAMES if bundled_recipe(name)]:
            print(f"{name}: {rebuild(name, given.folder)}", file=sys.stderr)
    except MetamersError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
