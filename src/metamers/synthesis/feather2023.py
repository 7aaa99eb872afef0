"""The published recipe (Feather et al., 2023, Methods; numbers as in the authors' public code)."""

from metamers.synthesis.recipe import Recipe

FEATHER2023 = Recipe(
    name="feather2023",
    optimizer="normalized_gradient",
    step_size=1.0,
    schedule="halving",
    halve_every=3000,
    steps=24_000,
    early_stop=False,
    keep_best=False,
    loss="norm",
    start="noise",
    start_std=0.05,
    relu_gradient="identity",
)
"""Gradient steps of length 1, halved after every 3000, 24,000 in all; the last iterate is the metamer. Unlike there, a
model hears sounds as they will be played (10 ms ramps, an RMS of at most 0.25), as with every recipe here."""

FEATHER2023_SCALED = FEATHER2023.with_options(name="feather2023-scaled", scale_step=True)
"""The same with the step length in proportion to the square root of the number of input values."""
