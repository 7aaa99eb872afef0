"""Trial lists: balanced, reproducible, and given again when they are given up."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamers.experiment.assignment import Assigned, cycle_of, next_list, spread, trial_list

CONDITIONS = ["natural", "m/a", "m/b", "n/a", "n/b"]


def names(n):
    return [f"r{i:03d}" for i in range(n)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 3), st.integers(0, 60), st.data())
def test_a_list_shows_each_source_once_and_each_condition_as_often_as_the_others(
    n_sources, n_cycle, seed, number, data
):
    n = data.draw(st.integers(1, n_sources))
    cycle = [f"c{i}" for i in range(n_cycle)]
    trials = trial_list(names(n_sources), cycle, n, seed, number)
    assert len({trial.source for trial in trials}) == len(trials) == n
    counts = Counter(trial.condition for trial in trials)
    assert all(n // n_cycle <= counts[c] <= -(-n // n_cycle) for c in cycle)
    assert trials == trial_list(names(n_sources), cycle, n, seed, number)


def test_other_seeds_and_lists_are_others():
    lists = [trial_list(names(30), CONDITIONS, 30, seed, number) for seed, number in product(range(3), range(20))]
    assert len({tuple(each) for each in lists}) == len(lists)


@pytest.mark.parametrize(("n_sources", "n"), [(40, 40), (43, 43), (40, 25)])
def test_a_block_of_lists_covers_each_of_its_cells_once(n_sources, n):
    cells = Counter(
        trial for number in range(len(CONDITIONS)) for trial in trial_list(names(n_sources), CONDITIONS, n, 0, number)
    )
    assert len(cells) == n * len(CONDITIONS) and set(cells.values()) == {1}


def test_over_blocks_all_sources_are_shown_alike():
    shown = Counter(
        trial.source for block in range(16) for trial in trial_list(names(40), CONDITIONS, 25, 0, block * 5)
    )
    assert max(shown.values()) - min(shown.values()) <= 1 and sum(shown.values()) == 400


def test_over_a_thousand_sessions_of_which_a_third_give_up_cells_are_covered_alike():
    rng = np.random.default_rng(0)
    finished, running = Counter[int](), list[int]()
    for _ in range(1000):
        number = next_list([*finished, *running])
        running.append(number)
        if len(running) > 5:  # so many at a time
            ended = running.pop(int(rng.integers(len(running))))
            if rng.random() >= 0.3:
                finished[ended] += 1
        assert len(set(running)) == len(running) and not set(running) & set(finished)
    assert set(finished.values()) == {1} and len(finished) > 600
    cells = Counter(
        trial for number in [*finished, *running] for trial in trial_list(names(43), CONDITIONS, 43, 7, number)
    )
    counts = [cells[Assigned(source, condition)] for source in names(43) for condition in CONDITIONS]
    assert max(counts) - min(counts) <= 1


def test_natural_trials_have_the_share_that_is_asked_for():
    for share in (0.1, 0.25, 0.4, 0.5, 0.8, 0.99):
        cycle = cycle_of(CONDITIONS, "natural", share)
        assert abs(cycle.count("natural") / len(cycle) - share) <= 0.01
        assert len({cycle.count(condition) for condition in CONDITIONS[1:]}) == 1
    assert cycle_of(CONDITIONS, "natural", None) == CONDITIONS


@given(st.integers(20, 400), st.integers(1, 16), st.integers(0, 5))
def test_catch_trials_are_spread_and_never_first(n_main, n_catch, seed):
    places = spread(n_main, n_catch, np.random.default_rng(seed))
    assert len(places) == n_catch and places == sorted(places)
    assert all(0 < place < n_main for place in places)
    assert max(np.diff([0, *places, n_main])) <= 2 * (n_main / n_catch + 1)
