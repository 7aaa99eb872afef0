"""The published recipe of SpecTemp (Feather et al., 2023, Methods; numbers as in the authors' public code)."""

from metamers.synthesis.feather2023 import FEATHER2023

SPECTEMP = FEATHER2023.with_options(name="spectemp", units="coarse_to_fine", start_std=1e-5)
"""`feather2023`, but that filters are matched from coarse to fine at each step size but the last (every 400 steps those
of higher rates and scales join), and that the start noise has a standard deviation of 1e-5. For sounds."""
