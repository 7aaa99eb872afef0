"""Who does not count, by rules that the experiment declares."""

from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import select, update
from tests.experiment.conftest import rows, write_experiment

from metamers.experiment.config import Exclude, Gate
from metamers.experiment.database import RESPONSE, SESSION, TRIAL
from metamers.experiment.export import exclusions, export
from metamers.experiment.opened import open_experiment
from metamers.experiment.simulate import simulate

ALL = {"median_rt_ms": [200, 10_000], "timing_ok": 0.8}


def altered(db, session_id, phase="main", **values):
    numbers = select(TRIAL.c.trial_no).where(TRIAL.c.session_id == session_id, TRIAL.c.phase == phase)
    chosen = RESPONSE.c.trial_no.in_(numbers.scalar_subquery())
    db.execute(update(RESPONSE).where(RESPONSE.c.session_id == session_id, chosen).values(**values))


def test_each_rule_tells_whom_it_excludes_and_what_was_before(tmp_path):
    opened = open_experiment(write_experiment(tmp_path / "exp", exclude=ALL))
    simulate(opened, 5, seed=1, accuracy=lambda _: 1.0)
    opened = open_experiment(opened.folder)
    with opened.engine.begin() as db:
        hasty, late, *_ = db.execute(select(SESSION.c.session_id).order_by(SESSION.c.created_at)).scalars()
        altered(db, hasty, rt_ms=199.0)
        altered(db, hasty, "catch", rt_ms=9000.0)  # only main trials count
        altered(db, late, timing_ok=False)
    found = export(opened, tmp_path / "out")
    reasons = {(row["participant"], row["rule"]): row for row in rows(tmp_path / "out" / "exclusions.csv")}
    assert set(reasons) == {("p0001", "median_rt_ms"), ("p0002", "timing_ok")}
    assert reasons["p0001", "median_rt_ms"]["value"] == "199.0"
    assert reasons["p0001", "median_rt_ms"]["threshold"] == "200 to 10000"
    assert reasons["p0002", "timing_ok"]["value"] == "0.0"
    assert found == {
        **{"sessions": 5, "included": 3, "trials": 65, "main_trials": 30, "included_trials": 18},
        **{"excluded": {"median_rt_ms": 1, "timing_ok": 1}, "substituted": 0},
    }
    named = {row["participant"] for row in rows(tmp_path / "out" / "responses.csv")}
    assert named == {f"simulated-p000{i}" for i in (3, 4, 5)}
    opened.engine.dispose()


def test_no_rule_is_on_unasked(tmp_path, experiment):
    opened = open_experiment(experiment)
    simulate(opened, 2, seed=1, accuracy=lambda _: 1.0)
    opened = open_experiment(experiment)
    with opened.engine.begin() as db:
        for session_id in db.execute(select(SESSION.c.session_id)).scalars().all():
            altered(db, session_id, rt_ms=1.0, timing_ok=False)
    assert export(opened, tmp_path / "out")["excluded"] == {}
    opened.engine.dispose()


@pytest.mark.parametrize("substituted", [True, False])
def test_replaced_trials_count_as_natural_where_that_is_asked_for(tmp_path, substituted):
    opened = open_experiment(write_experiment(tmp_path / "exp", exclude={"substituted": substituted}))
    simulate(opened, 1, seed=1, accuracy=lambda _: 1.0)
    opened = open_experiment(opened.folder)
    with opened.engine.begin() as db:
        db.execute(
            update(TRIAL).where(TRIAL.c.phase == "main", TRIAL.c.condition == "natural").values(substituted=True)
        )
    found = export(opened, tmp_path / "out")
    assert (found["main_trials"], found["included_trials"]) == (6, 4 if substituted else 6)
    assert found["substituted"] == (2 if substituted else 0)
    opened.engine.dispose()


@pytest.mark.parametrize(
    "wrong", [{"median_rt_ms": [500, 100]}, {"median_rt_ms": [-1, 5]}, {"timing_ok": 1.1}, {"slow": True}]
)
def test_a_rule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        Exclude.model_validate(wrong)


TRIALS = st.lists(
    st.fixed_dictionaries(
        {
            "phase": st.sampled_from(["main", "main", "catch", "practice"]),
            "state": st.sampled_from(["answered", "answered", "interrupted"]),
            "media_ok": st.sampled_from([True, True, False, None]),
            "rt_ms": st.none() | st.floats(0, 20_000),
            "timing_ok": st.sampled_from([True, False, None]),
            "correct": st.just(True),
        }
    ),
    max_size=30,
)


@given(TRIALS, st.tuples(st.floats(0, 5000), st.floats(5001, 20_000)), st.integers(0, 10))
def test_the_rules_are_what_they_say(trials, bounds, tenths):
    config = SimpleNamespace(catch=Gate(trials=0, must=0), exclude=Exclude(median_rt_ms=bounds, timing_ok=tenths / 10))
    opened: Any = SimpleNamespace(design=SimpleNamespace(config=config))
    sessions: list[dict[str, Any]] = [
        {"participant": "a", "state": "finished"},
        {"participant": "b", "state": "withdrawn"},
    ]
    told = [{**trial, "participant": name} for name in "ab" for trial in trials]
    found = exclusions(opened, sessions, told, [])
    shown = [t for t in trials if t["phase"] == "main" and t["state"] == "answered" and t["media_ok"] in (True, None)]
    times = [t["rt_ms"] for t in shown if t["rt_ms"] is not None]
    n_ok = [t["timing_ok"] for t in shown].count(True)
    expected = set()
    if times and not bounds[0] <= median(times) <= bounds[1]:
        expected.add("median_rt_ms")
    if 10 * n_ok < tenths * len(shown):
        expected.add("timing_ok")
    by_name = {name: {row["rule"] for row in found if row["participant"] == name} for name in "ab"}
    assert by_name == {"a": expected, "b": {"finished"}}
