"""Who recognizes metamers that the published recipe made in its 24,000 steps: `python -m benchmarks.findings_gpu`,
where there is a GPU, writes benchmarks/published/cifar_last_stage.json, which docs/findings.md shows."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from benchmarks.comparisons import ratios, recognized, responses
from benchmarks.findings_images import CIFAR_OBSERVERS, FIRST_AND_ROBUST, PUBLISHED_LAST_STAGE, cifar_last_stage
from metamers.synthesis import recipe_named

OBSERVERS = CIFAR_OBSERVERS[1:]


def main() -> None:
    """Make the metamers and show them, as far as that is not done; write what was found."""
    recipe = recipe_named("feather2023-scaled")
    whole = cifar_last_stage()
    comparison = replace(
        whole,
        name=f"cifar-last-{recipe.name}",
        generators={model.to("cuda"): stages for model, stages in whole.generators.items()},
        seeds=(0, 1, 2),
        recipe=recipe,
    )
    PUBLISHED_LAST_STAGE.write_text(json.dumps(found_in(responses(comparison)), indent=1) + "\n", encoding="utf-8")


def found_in(tables: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """What both observers together and each alone recognize, and how many times as often of the second net."""
    rows = []
    for observers in (OBSERVERS, OBSERVERS[:1], OBSERVERS[1:]):
        shares = recognized(tables, observers)
        (ratio,) = ratios(shares, [FIRST_AND_ROBUST[::-1]])
        first, robust = shares["mean"]
        rows.append({"observers": " and ".join(observers), "standard": first, "adversarial": robust, **ratio})
        rows[-1] |= {"passed": ", ".join(shares["passed"])}
    return rows


if __name__ == "__main__":
    main()
