"""The published recipe of HMAX (Feather et al., 2023, Methods; numbers as in the authors' public code)."""

from metamers.synthesis.feather2023 import FEATHER2023

HMAX = FEATHER2023.with_options(name="hmax", units="random_single", start_std=10 / 255)
"""`feather2023`, but that a single unit (scale, patch size or channel), drawn anew every 50 steps, is matched in the
first 400 steps at each step size but the last, and that the start noise has a standard deviation of 10 of 255."""
