"""From assignment to statistics: a difference between two models is found, and none where there is none."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from metamers.analysis import repeated_measures_anova
from metamers.experiment.assignment import trial_list

PARTICIPANTS, SEEDS, SOURCES = 12, 200, [f"r{i}" for i in range(60)]
CONDITIONS = ["natural", "a/early", "a/late", "b/early", "b/late"]


def p_of_model(seed: int, accuracy: dict[str, float]) -> float:
    """The p of the difference between models a and b, of participants who differ in how well they see, too."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(PARTICIPANTS):
        ability = rng.normal(0, 0.05)
        for trial in trial_list(SOURCES, CONDITIONS, len(SOURCES), seed, number):
            if trial.condition != "natural":
                model, stage = trial.condition.split("/")
                right = rng.random() < np.clip(accuracy[trial.condition] + ability, 0, 1)
                rows.append({"participant": str(number), "model": model, "stage": stage, "correct": float(right)})
    shares = pd.DataFrame(rows).groupby(["participant", "model", "stage"], as_index=False).mean()
    table = repeated_measures_anova(shares, value="correct", subject="participant", within=["model", "stage"])
    return float(table.set_index("effect")["pValue"]["(Intercept):model"])


@pytest.mark.parametrize("planted", [0.0, 0.2])
def test_two_models(planted):
    same = {"a/early": 0.7, "a/late": 0.3, "b/early": 0.7 - planted, "b/late": 0.3 - planted}
    found = sum(p_of_model(seed, same) < 0.05 for seed in range(SEEDS))
    if planted:
        assert found >= 0.95 * SEEDS
    else:
        low, high = binom.interval(0.999, SEEDS, 0.05)
        assert low <= found <= high
