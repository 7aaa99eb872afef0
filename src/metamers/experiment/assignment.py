"""Who sees what: trial lists that cover every (source, condition) alike, and which list a new session gets.

Lists come in blocks. Within a block, each list shows each of its sources once, and each source is shown in each
condition once over the lists (a Latin square): whoever finishes, cells differ by at most one for each block that is
not yet whole. Lists that were given up are given again before new ones are begun.
"""

from collections.abc import Iterable, Sequence
from itertools import count, pairwise
from typing import NamedTuple

import numpy as np


class Assigned(NamedTuple):
    """One main trial: which source, in which condition."""

    source: str
    condition: str


def cycle_of(conditions: Sequence[str], natural: str, share: float | None) -> list[str]:
    """The conditions in turns, the natural one as often as its share of the trials asks, within 1 %; None: as each
    other.

    >>> cycle_of(["natural", "a", "b"], "natural", 0.5)
    ['natural', 'natural', 'a', 'b']
    """
    others = [condition for condition in conditions if condition != natural]
    if share is None or not others:
        return list(conditions)
    for turns in count(1):
        each = turns * len(others)
        n = max(1, round(share / (1 - share) * each))
        if abs(n / (n + each) - share) <= 0.01:
            break
    return [natural] * n + [condition for condition in others for _ in range(turns)]


def trial_list(sources: Sequence[str], cycle: Sequence[str], n: int, seed: int, number: int) -> list[Assigned]:
    """The main trials of list `number`, in the order in which they are shown: a pure function of its arguments.

    n of the sources are shown; each condition as often as n over the length of the cycle, rounded down or up.
    """
    block, place = divmod(number, len(cycle))
    rng = np.random.default_rng([seed, 0xA551, block])
    order = _least_shown_first(len(sources), n, seed, block)
    turns = rng.permutation(len(cycle))  # so that what does not divide evenly falls to others in each block
    chosen = [Assigned(sources[s], cycle[turns[(i + place) % len(cycle)]]) for i, s in enumerate(order)]
    shown = np.random.default_rng([seed, 0x5407, number]).permutation(len(chosen))
    return [chosen[i] for i in shown]


def next_list(in_use: Iterable[int]) -> int:
    """The first list that nobody who finished, or is still at it, has.

    >>> next_list([0, 1, 3])
    2
    """
    taken = set(in_use)
    return next(number for number in range(len(taken) + 1) if number not in taken)


def spread(n_main: int, n_catch: int, rng: np.random.Generator) -> list[int]:
    """After how many main trials each catch trial comes: one in each of as many windows, none first or last.

    >>> spread(8, 2, np.random.default_rng(0))
    [3, 6]
    """
    if not n_catch:
        return []
    edges = np.linspace(1, n_main, n_catch + 1).astype(int)
    return [int(rng.integers(low, max(high, low + 1))) for low, high in pairwise(edges)]


def _least_shown_first(n_sources: int, n: int, seed: int, block: int) -> list[int]:
    """Which n sources a block shows, in random order. Over blocks, all sources are shown alike."""
    line = np.random.default_rng([seed, 0x50CE]).permutation(n_sources)
    window = line[np.arange(block * n, (block + 1) * n) % n_sources]
    return [int(s) for s in np.random.default_rng([seed, 0x0DE5, block]).permutation(window)]
