"""Made-up responses with known answers."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

LABELS = ("cat", "cup", "star", "sun")
STAGES = ("layer1", "layer2", "output")

MakeResponses = Callable[..., pd.DataFrame]


@pytest.fixture
def make_responses() -> MakeResponses:
    """Responses of observers to metamers and natural stimuli.

    `right(model, stage, observer, i)` is the probability that the reference `i` is named rightly, or None: not shown.
    """

    def make(
        models=("net",),
        observers=(("net", "model"), ("other", "model")),
        right=lambda model, stage, observer, i: 1.0,
        participants=1,
        n=16,
        seeds=(0,),
        stages=STAGES,
    ) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        rows = []
        shown = [("", "natural", 0), *((m, s, seed) for m in models for s in stages for seed in seeds)]
        for observer, kind in observers:
            for participant in range(participants if kind == "human" else 1):
                for model, stage, seed in shown:
                    for i in range(n):
                        p = right(model, stage, observer, i)
                        if p is None:
                            continue
                        label = LABELS[i % 4]
                        correct = bool(rng.random() < p)
                        key = f"{model}/{stage}/fast/r{i}/s{seed}" if model else f"natural/r{i}"
                        rows.append(
                            {
                                **{"cell": key, "model": model or None, "stage": stage, "reference": f"r{i}"},
                                **{"recipe": "fast" if model else None, "seed": seed if model else None},
                                **{"observer": observer, "observer_kind": kind, "label": label, "correct": correct},
                                "participant": f"p{participant}" if kind == "human" else None,
                                "response": label if correct else LABELS[(i + 1) % 4],
                            }
                        )
        return pd.DataFrame(rows)

    return make
