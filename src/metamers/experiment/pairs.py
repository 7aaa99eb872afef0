"""Two candidates beside a reference: which conditions are compared, where each candidate is, and which was chosen."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from metamers.errors import MetamersError, nearest
from metamers.intervals import wilson_interval

Pair = tuple[str, str]
COLUMNS = ("pair", "condition", "other", "n", "chosen", "proportion", "low", "high")
"""Of the table of preferences."""


def pair_name(pair: Pair) -> str:
    """What a pair of conditions is called: for the assignment, it is one condition.

    >>> pair_name(("net/a", "net/b"))
    'net/a | net/b'
    """
    return " | ".join(pair)


def default_pairs(models: Mapping[str, str]) -> list[Pair]:
    """The conditions of different models at the same place among their model's stages; of one model alone, each with
    each. models: of each condition, in the order of the stages.

    >>> default_pairs({"a/x": "a", "a/y": "a", "b/x": "b", "b/y": "b"})
    [('a/x', 'b/x'), ('a/y', 'b/y')]
    >>> default_pairs({"a/x": "a", "a/y": "a", "a/z": "a"})
    [('a/x', 'a/y'), ('a/x', 'a/z'), ('a/y', 'a/z')]
    """
    stages: dict[str, list[str]] = {}
    for condition, model in models.items():
        stages.setdefault(model, []).append(condition)
    if len(stages) == 1:
        return list(combinations(models, 2))
    longest = max(map(len, stages.values()), default=0)
    levels = ([own[i] for own in stages.values() if i < len(own)] for i in range(longest))
    return [pair for level in levels for pair in combinations(level, 2)]


def require_shown(pairs: Iterable[Pair], shown: Mapping[str, set[str]]) -> None:
    """Raises MetamersError for a pair with a condition that is none, or without a reference that has a metamer in both.

    shown: the references that there are in each condition.
    """
    for pair in pairs:
        for condition in pair:
            if condition not in shown:
                hint = nearest(condition, list(shown)) or f"; there are {', '.join(shown)}"
                raise MetamersError(f"pairs: {condition!r} is no MODEL/STAGE of the metamers{hint}")
        if not shown[pair[0]] & shown[pair[1]]:
            raise MetamersError(f"pairs: no reference has a metamer of both {pair_name(pair)}; leave this pair out")


def compared(given: Sequence[Pair] | None, cells: Iterable[Mapping[str, Any]]) -> tuple[Pair, ...]:
    """The pairs of an experiment with a run's cells: those that are given, else `default_pairs`, as far as there are
    references with verified metamers of both.

    Raises MetamersError as `require_shown` does, and where there is no pair.
    """
    shown, models = dict[str, set[str]](), dict[str, str]()
    for cell in cells:
        condition = f"{cell['model']}/{cell['stage']}"
        models[condition] = cell["model"]
        shown.setdefault(condition, set()).update({cell["reference"]} if cell["verdict"] == "passed" else ())
    if given is not None:
        require_shown(given, shown)
        return tuple(given)
    found = tuple(pair for pair in default_pairs(models) if shown[pair[0]] & shown[pair[1]])
    if not found:
        raise MetamersError(
            f"the verified metamers of the run ({', '.join(models) or 'none'}) make no pair of the same reference; "
            "make metamers of two stages or models"
        )
    return found


def swaps(groups: Sequence[str], rng: np.random.Generator) -> list[bool]:
    """For each trial, whether the candidate that is named second comes first: in half of the trials of each group,
    rounded up or down by chance."""
    swapped = np.zeros(len(groups), dtype=bool)
    for group in dict.fromkeys(groups):
        of_group = [i for i, other in enumerate(groups) if other == group]
        swapped[of_group] = (rng.permutation(len(of_group)) + rng.integers(2)) % 2 == 1
    return [bool(swap) for swap in swapped]


def preferences(pairs: Iterable[Pair], trials: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each pair, in how many of its trials that were answered the condition that is named first was chosen, and the
    95 % interval (Wilson) of the proportion; see `COLUMNS`."""
    answers: dict[str, list[str]] = {}
    for trial in trials:
        if trial["response"] is not None:
            answers.setdefault(trial["condition"], []).append(trial["response"])
    rows = []
    for pair in pairs:
        said = answers.get(pair_name(pair), [])
        n, chosen = len(said), said.count(pair[0])
        told: dict[str, Any] = {"pair": pair_name(pair), "condition": pair[0], "other": pair[1]}
        told |= {"n": n, "chosen": chosen}
        if n:
            low, high = wilson_interval(chosen, n)
            told |= {"proportion": chosen / n, "low": float(low), "high": float(high)}
        rows.append(told)
    return rows
