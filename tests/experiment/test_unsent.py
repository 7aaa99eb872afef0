"""Files of what a page could not send."""

import json

import pytest
from sqlalchemy import select
from tests.experiment.test_sessions import Person

from metamers.errors import MetamersError
from metamers.experiment.database import AUDIT, CHECK, CONFLICT, EVENT, RESPONSE, SESSION, TRIAL
from metamers.experiment.opened import Opened
from metamers.experiment.sessions import RefusedError
from metamers.experiment.unsent import take_in

TABLES = (SESSION, TRIAL, RESPONSE, EVENT, CHECK, CONFLICT, AUDIT)


@pytest.fixture
def begun(made, tmp_path):
    """A participant, and their experiment with its database, as the import opens it."""

    def make(**changes):
        sessions, engine = made(**changes)
        return Person(sessions, engine), Opened(tmp_path, sessions.design, sessions.experiment_hash, engine)

    return make


def events_of(person, trials):
    """What the page would send for some trials, which all are answered right."""
    events = []
    for trial in trials:
        for more in ({"type": "shown"}, {"type": "answered", "answer": {"response": person.label(trial["trial"])}}):
            person.seq += 1
            events.append({"seq": person.seq, "t_ms": float(person.seq), "trial": trial["trial"], **more})
    return events


def written(tmp_path, person, events, **changes):
    content = {"version": 1, "session": person.id, "lease": person.lease, "last_seq": person.seq, "events": events}
    path = tmp_path / "unsent.json"
    path.write_text(json.dumps(content | changes))
    return path


def everything(opened):
    with opened.engine.begin() as db:
        return [[dict(row) for row in db.execute(select(table)).mappings()] for table in TABLES]


@pytest.mark.parametrize("sent", [0, 9, 10, 26])
def test_what_was_not_sent_is_kept_once_and_the_session_ends(begun, tmp_path, sent):
    person, opened = begun()
    events = events_of(person, person.consent()["trials"])
    if sent:
        person.take(*events[:sent])
    path = written(tmp_path, person, events)
    told = take_in(opened, path)
    assert (told["state"], told["new"], told["known"]) == ("finished", 26 - sent, sent)
    assert told["code"] and not told["conflicts"] and not told["left_out"] and told["why"] is None
    assert [row["seq"] for row in person.rows(EVENT)] == list(range(1, 27))
    assert len(person.rows(RESPONSE)) == 13 and all(row["correct"] for row in person.rows(RESPONSE))
    before = everything(opened)
    again = take_in(opened, path)
    assert again == {**told, "new": 0, "known": 26} and everything(opened) == before
    assert person.take(*events)["ack"] == 26  # the page, which goes on trying, is satisfied
    assert person.finish(person.seq)["code"] == told["code"]


def test_a_session_that_was_given_up_is_taken_up(begun, tmp_path, clock):
    person, opened = begun()
    events = events_of(person, person.consent()["trials"])
    person.take(*events[:4])
    clock.pass_(days=30)
    assert person.open()["state"] == "expired"
    told = take_in(opened, written(tmp_path, person, events, lease=person.rows(SESSION)[0]["lease"]))
    assert told["state"] == "finished" and told["new"] == 22 and len(person.rows(RESPONSE)) == 13


def test_what_is_not_the_whole_leaves_the_session_as_it_was(begun, tmp_path):
    person, opened = begun()
    trials = person.consent()["trials"]
    events = events_of(person, trials[:3])
    before = person.rows(SESSION)[0]
    told = take_in(opened, written(tmp_path, person, events))
    assert (told["state"], told["new"], told["why"]) == ("running", 6, "10 trials are left")
    assert {**person.rows(SESSION)[0], "last_seq": 0} == dict(before)
    assert person.go_through(trials[3:]) is None and person.finish(person.seq)["state"] == "finished"


@pytest.mark.parametrize("unanswered", ["skip", "repeat"])
def test_another_tab_since_then_is_no_hindrance(begun, tmp_path, clock, unanswered):
    person, opened = begun(unanswered=unanswered)
    events = events_of(person, person.consent()["trials"])
    first = person.lease
    person.take(*events[:25])  # the last answer is not there
    clock.pass_(minutes=2)
    left = person.open()["trials"]
    assert person.lease != first and bool(left) == (unanswered == "repeat")
    told = take_in(opened, written(tmp_path, person, events, lease=first))
    assert (told["state"], told["new"]) == ("finished", 1)
    assert [row["state"] for row in person.rows(TRIAL)] == ["answered"] * 13 and len(person.rows(RESPONSE)) == 13


def test_a_tab_whose_numbers_are_taken_is_loaded_anew(begun, tmp_path, clock):
    person, opened = begun()
    events = events_of(person, person.consent()["trials"])
    first = person.lease
    person.take(*events[:5])
    clock.pass_(minutes=2)
    person.open()
    assert take_in(opened, written(tmp_path, person, events[:8], lease=first))["new"] == 3
    with pytest.raises(RefusedError) as refused:
        person.take({"seq": 6, "t_ms": 1.0, "type": "focus"})
    assert refused.value.status == 409
    clock.pass_(minutes=2)
    assert person.open()["last_seq"] == 8
    assert person.take({"seq": 9, "t_ms": 1.0, "type": "focus"})["ack"] == 9


def test_a_gate_is_judged_anew_with_the_answer(begun, tmp_path, clock):
    person, opened = begun()
    events = events_of(person, person.consent()["trials"])
    first = person.lease
    person.take(*events[:9])  # the last screening trial is shown
    clock.pass_(minutes=2)
    person.open()
    assert [row["n"] for row in person.rows(CHECK)] == [2]
    assert take_in(opened, written(tmp_path, person, events, lease=first))["state"] == "finished"
    assert [(row["n"], row["score"]) for row in person.rows(CHECK)] == [(3, 3)]


def test_what_differs_from_what_is_kept_is_told_and_changes_nothing(begun, tmp_path):
    person, opened = begun()
    events = events_of(person, person.consent()["trials"])
    person.take(*events[:2])
    events[1]["answer"] = {"response": "cup" if person.label(1) != "cup" else "sun"}
    path = written(tmp_path, person, events)
    told = take_in(opened, path)
    assert told["conflicts"] == [2] and told["known"] == 1 and told["new"] == 24 and told["state"] == "finished"
    assert person.rows(RESPONSE)[0]["response"] == person.label(1) and len(person.rows(CONFLICT)) == 1
    before = everything(opened)
    assert take_in(opened, path)["conflicts"] == [2] and everything(opened) == before


def test_a_forged_file_does_no_more_than_a_browser(begun, tmp_path):
    person, opened = begun()
    events = events_of(person, person.consent()["trials"])
    jumps = [{**events[2], "seq": 1}]
    told = take_in(opened, written(tmp_path, person, jumps))
    assert (told["new"], told["left_out"], told["why"]) == (0, 1, "event 1: not the next trial")
    assert take_in(opened, written(tmp_path, person, jumps)) == told and len(person.rows(CONFLICT)) == 1
    late = [event for event in events if event["seq"] > 4]
    assert take_in(opened, written(tmp_path, person, late))["why"] == "the events after 0 are missing"
    with pytest.raises(MetamersError, match=r"answer.rt_ms"):
        take_in(opened, written(tmp_path, person, [{**events[1], "answer": {"response": "cat", "rt_ms": -1}}]))
    assert not person.rows(EVENT) and not person.rows(RESPONSE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lease": "0" * 32}, "was not made by a page of its session"),
        ({"session": "0" * 32}, "its session is not in this database"),
        ({"version": 2}, "version"),
        ({"token": "x"}, "token: Extra inputs"),
        ({"events": [{"seq": 1}]}, "events.0.type"),
    ],
)
def test_other_files_are_refused(begun, tmp_path, changes, words):
    person, opened = begun()
    events = events_of(person, person.consent()["trials"])
    before = everything(opened)
    with pytest.raises(MetamersError, match=words):
        take_in(opened, written(tmp_path, person, **{"events": events} | changes))
    assert everything(opened) == before


@pytest.mark.parametrize("keep", [True, False])
def test_who_left_stays_away(begun, tmp_path, keep):
    person, opened = begun()
    events = events_of(person, person.consent()["trials"])
    path = written(tmp_path, person, events)
    person.leave(keep=keep)
    with pytest.raises(MetamersError, match="has left"):
        take_in(opened, path)
    assert not person.rows(EVENT)


def test_the_lease_of_another_session_opens_nothing(begun, tmp_path):
    person, opened = begun()
    other = Person(person.sessions, person.engine)
    other.consent()
    events = events_of(person, person.consent()["trials"])
    with pytest.raises(MetamersError, match="was not made by a page"):
        take_in(opened, written(tmp_path, person, events, lease=other.lease))


def test_what_is_no_file_is_said(begun, tmp_path):
    _, opened = begun()
    with pytest.raises(MetamersError, match="cannot be read"):
        take_in(opened, tmp_path / "none.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(MetamersError, match="content: Invalid JSON"):
        take_in(opened, tmp_path / "x.json")
