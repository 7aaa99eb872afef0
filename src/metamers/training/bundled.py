"""Rebuilds the bundled models: `python -m metamers.training.bundled [NAME ...] [--folder FOLDER]`."""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from metamers.models.bundled import ARCHITECTURES, BUNDLED, WEIGHTS
from metamers.stimuli.pictograms import pictograms
from metamers.training.standard import TrainingRecipe, accuracy, train_standard

RECIPES = {
    "picto-resnet": TrainingRecipe(epochs=8, batch_size=64),
    "picto-resnet-b": TrainingRecipe(epochs=8, batch_size=64, seed=1),
    "picto-alexnet": TrainingRecipe(epochs=16, batch_size=64, learning_rate=0.02),
}
TRAINING_IMAGES = 16_000
TEST_IMAGES = 4_096


def rebuild(name: str, folder: Path) -> float:
    """Train the bundled model `name`, write its weights and card to `folder`, and give its accuracy on fresh images."""
    recipe = RECIPES[name]
    torch.manual_seed(recipe.seed)
    network = ARCHITECTURES[BUNDLED[name]]()
    start = time.monotonic()
    train_standard(network, *_images("train", TRAINING_IMAGES), recipe, _progress(recipe.epochs, start))
    score = accuracy(network, *_images("test", TEST_IMAGES))
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / f"{name}.safetensors")
    (folder / f"{name}.md").write_text(_card(name, recipe, score, time.monotonic() - start), encoding="utf-8")
    return score


def _images(split: str, n: int) -> tuple[Tensor, Tensor]:
    stimuli = pictograms(split, n)
    pixels = np.stack([stimuli.pixels(i) for i in range(n)])
    labels = torch.tensor([stimuli.classes.index(str(label)) for label in stimuli.labels])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), labels


def _progress(epochs: int, start: float) -> Callable[[int, float], None]:
    def report(epoch: int, loss: float) -> None:
        spent = time.monotonic() - start
        remaining = spent / epoch * (epochs - epoch)
        print(f"epoch {epoch}/{epochs}  loss {loss:.4f}  {spent:.0f} s, {remaining:.0f} s remaining", file=sys.stderr)

    return report


def _card(name: str, recipe: TrainingRecipe, score: float, seconds: float) -> str:
    fields = "\n".join(f"  {key}: {value}" for key, value in asdict(recipe).items())
    return f"""---
name: {name}
architecture: {BUNDLED[name]}
training_data: bundled:pictograms?split=train&n={TRAINING_IMAGES}&seed=0
test_data: bundled:pictograms?split=test&n={TEST_IMAGES}&seed=0
accuracy: {score:.4f}
input: RGB in [0, 1], 64 x 64
rebuild: python -m metamers.training.bundled {name}
training_seconds: {seconds:.0f}
recipe:
  objective: standard
{fields}
license: MIT
---
# {name}

A `{BUNDLED[name]}` trained to name the object of a pictogram (16 classes). It exists to demonstrate and test metamers
without a download; it has seen nothing but pictograms and says nothing about photographs.
"""


def main() -> None:
    """Rebuild the models named, or all, into the package or another folder."""
    parser = argparse.ArgumentParser(prog="python -m metamers.training.bundled", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--folder", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    if unknown := sorted(set(given.names) - set(RECIPES)):
        parser.error(f"no bundled model {unknown[0]!r}; choose from {', '.join(RECIPES)}")
    torch.set_num_threads(1)  # so that the weights do not depend on the number of cores
    for name in given.names or RECIPES:
        score = rebuild(name, given.folder)
        print(f"{name}: {score:.2%} of {TEST_IMAGES} fresh pictograms", file=sys.stderr)


if __name__ == "__main__":
    main()
