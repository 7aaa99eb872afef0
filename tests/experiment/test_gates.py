"""Gates, and a headphone check that may be tried again."""

import csv
import json

import pytest
from pydantic import ValidationError
from tests.experiment.conftest import write_experiment
from tests.experiment.test_sessions import Person

from metamers.experiment.config import ExperimentConfig, preset
from metamers.experiment.database import CHECK, TRIAL
from metamers.experiment.export import export
from metamers.experiment.headphones import CHOICES
from metamers.experiment.opened import open_experiment
from metamers.experiment.sessions import Sessions
from metamers.experiment.simulate import simulate
from metamers.experiment.unsent import take_in


@pytest.fixture
def opened(tmp_path):
    check = {"trials": 4, "pass": 3, "attempts": 2}
    opened = open_experiment(write_experiment(tmp_path / "exp", task="word", headphones=check))
    yield opened
    opened.engine.dispose()


class Listener(Person):
    """Someone at the headphone check."""

    def __init__(self, opened, clock):
        super().__init__(Sessions(opened.design, opened.hash, "live", b"k" * 64, clock), opened.engine)
        self.trials = self.consent()["trials"]

    def listen(self, numbers, *, right):
        for number in numbers:
            label = self.label(number)
            self.shown(number)
            told = self.answered(number, label if right else CHOICES[CHOICES.index(label) - 1])
            assert "refused" not in told
        return told

    def gates(self):
        rows = sorted(self.rows(CHECK), key=lambda row: (row["name"], row["attempt"]))
        return [(row["name"], row["attempt"], row["score"], row["n"], row["passed"]) for row in rows]


def test_who_passes_at_once_hears_no_second_check(opened, clock):
    person = Listener(opened, clock)
    assert [trial["block"] for trial in person.trials][:10] == [0] * 4 + [1] * 4 + [2] * 2
    assert person.listen([1, 2, 3], right=True)["not_needed"] == []
    told = person.listen([4], right=False)
    assert told["not_needed"] == [5, 6, 7, 8] and told["state"] == "running"
    assert person.gates() == [("headphones", 1, 3, 4, True)]
    assert person.open()["trials"][0]["trial"] == 9  # also after the page was loaded again
    assert "not the next" in person.shown(5)["refused"]["reason"]
    person.seq -= 1
    assert person.go_through(trial for trial in person.trials if trial["trial"] > 8) is None
    assert person.finish(person.seq)["state"] == "finished"


def test_who_passes_at_the_second_attempt_goes_on(opened, clock):
    person = Listener(opened, clock)
    assert person.listen([1, 2, 3, 4], right=False)["state"] == "running"
    told = person.listen([5, 6, 7, 8], right=True)
    assert told["state"] == "running" and told["not_needed"] == []
    assert person.gates() == [("headphones", 1, 0, 4, False), ("headphones", 2, 4, 4, True)]
    person.go_through(trial for trial in person.trials if trial["trial"] > 8)
    assert person.finish(person.seq)["state"] == "finished"


def test_two_failures_end_the_session(opened, clock):
    person = Listener(opened, clock)
    person.listen([1, 2, 3, 4], right=False)
    person.listen([5, 6], right=True)
    assert person.listen([7, 8], right=False)["state"] == "screened_out"
    assert person.gates() == [("headphones", 1, 0, 4, False), ("headphones", 2, 2, 4, False)]
    assert person.finish(0)["code"]


@pytest.mark.parametrize("loaded_again_in", [1, 2])
def test_a_page_that_is_loaded_again_within_an_attempt_goes_on_with_it(opened, clock, loaded_again_in):
    person = Listener(opened, clock)
    first = [1, 2, 3, 4] if loaded_again_in == 2 else []
    if first:
        person.listen(first, right=False)
    shown = len(first) + 1
    person.shown(shown)
    assert [trial["trial"] for trial in person.open()["trials"]] == list(range(shown + 1, 22))
    told = person.listen(range(shown + 1, shown + 4), right=True)
    assert told["state"] == "running"
    assert person.gates()[-1] == ("headphones", loaded_again_in, 3, 3, True)


def sent_later(person, opened, clock, tmp_path, number, *, right):
    """The page was loaded anew before an answer was sent, which comes as a file."""
    person.shown(number)
    lease, label, seq = person.lease, person.label(number), person.seq + 1
    clock.pass_(minutes=2)
    person.open()
    answer = {"response": label if right else CHOICES[CHOICES.index(label) - 1]}
    event = {"seq": seq, "t_ms": 1.0, "type": "answered", "trial": number, "answer": answer}
    path = tmp_path / "unsent.json"
    content = {"version": 1, "session": person.id, "lease": lease, "last_seq": seq, "events": [event]}
    path.write_text(json.dumps(content))
    return take_in(opened, path)


def test_with_an_answer_that_came_late_an_attempt_fails_and_the_next_is_needed(opened, clock, tmp_path):
    person = Listener(opened, clock)
    person.listen([1, 2], right=True)
    person.listen([3], right=False)
    told = sent_later(person, opened, clock, tmp_path, 4, right=False)
    assert (told["state"], told["new"]) == ("running", 1)
    assert person.gates() == [("headphones", 1, 2, 4, False)]
    assert [row["state"] for row in person.rows(TRIAL)[4:8]] == ["waiting"] * 4


def test_with_an_answer_that_came_late_the_second_attempt_is_judged_as_the_second(opened, clock, tmp_path):
    person = Listener(opened, clock)
    person.listen([1, 2, 3, 4], right=False)
    person.listen([5, 6, 7], right=True)
    assert sent_later(person, opened, clock, tmp_path, 8, right=True)["state"] == "running"
    assert person.gates() == [("headphones", 1, 0, 4, False), ("headphones", 2, 4, 4, True)]


def test_each_attempt_has_the_same_sounds_in_another_order(opened, clock):
    for _ in range(5):
        rows = [row["stimulus_id"] for row in Listener(opened, clock).rows(TRIAL)[:8]]
        assert sorted(rows[:4]) == sorted(rows[4:]) and rows[:4] != rows[4:] and len(set(rows)) == 4


def test_the_last_attempt_counts_and_both_are_exported(opened, clock, tmp_path):
    people = [Listener(opened, clock) for _ in range(3)]
    for number, person in enumerate(people):
        clock.pass_(seconds=1)
        person.listen([1, 2, 3, 4], right=number == 0)
        if number:
            person.listen([5, 6, 7, 8], right=number == 1)
    for person in people[:2]:
        person.go_through(trial for trial in person.trials if trial["trial"] > 8)
        person.finish(person.seq)
    export(opened, tmp_path / "out")
    tables = {}
    for name in ("checks", "exclusions", "trials"):
        with (tmp_path / "out" / f"{name}.csv").open(newline="") as file:
            tables[name] = list(csv.DictReader(file))
    heard = [row for row in tables["checks"] if row["name"] == "headphones"]
    assert sorted((row["participant"], row["attempt"], row["passed"]) for row in heard) == [
        *[("p0001", "1", "1"), ("p0002", "1", "0"), ("p0002", "2", "1"), ("p0003", "1", "0"), ("p0003", "2", "0")]
    ]
    rules = [(row["participant"], row["rule"]) for row in tables["exclusions"]]
    assert rules == [("p0003", "finished"), ("p0003", "headphones")]
    unheard = [row for row in tables["trials"] if row["state"] == "not needed"]
    assert {row["participant"] for row in unheard} == {"p0001"} and len(unheard) == 4


def test_virtual_participants_leave_out_what_is_not_needed(opened):
    (visit,) = simulate(opened, 1, seed=0, accuracy=lambda stimulus: 1.0)
    assert visit.state == "finished" and not {5, 6, 7, 8} & visit.answers.keys() and len(visit.answers) == 17


def test_a_check_is_tried_at_most_twice():
    values: dict[str, object] = {"name": "x", "labels": ["a", "b"], "preset": "feather-audio"}
    assert ExperimentConfig.model_validate(values).headphones.attempts == 1  # as published
    assert preset("geirhos-lab")["fullscreen"] and not ExperimentConfig.model_validate(values).fullscreen
    values["headphones"] = {"trials": 6, "pass": 5, "attempts": 3}
    with pytest.raises(ValidationError, match="attempts"):
        ExperimentConfig.model_validate(values)
