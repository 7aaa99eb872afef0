"""The default recipe, by the kind of stimulus."""

from metamers.synthesis.adam import ADAM_SOUND
from metamers.synthesis.recipe import Recipe

FAST = Recipe(
    name="fast",
    optimizer="lbfgs",
    step_size=0.01,
    schedule="constant",
    steps=1600,
    early_stop=True,
    keep_best=True,
    loss="norm",
    perturb_every=400,
    perturb_std=0.05,
    start="noise",
    start_std=0.03,
    relu_gradient="identity",
)
"""For images: limited-memory BFGS, a fifteenth of the published steps at most; noise leads it out of valleys where it
crawls."""

FAST_SOUND = ADAM_SOUND.with_options(name="fast", steps=400)
"""For sounds: Adam, a sixtieth of the published steps. Where a front end takes logarithms, L-BFGS halts far from many
references."""
