"""What happens to a session, without a server."""

from collections import Counter

import pytest
from sqlalchemy import select

from metamers.experiment.database import CHECK, CONFLICT, CONSENT, EVENT, IDENTITY, RESPONSE, SESSION, TRIAL
from metamers.experiment.messages import Begin, Consent, Event
from metamers.experiment.sessions import RefusedError

AGREED = Consent(decision="agreed", language="en", text_hash="0" * 64)


class Person:
    """A participant at a browser, whose answers are right but for the trials in `wrong`."""

    def __init__(self, sessions, engine, external_id=None, wrong=()):
        self.sessions, self.engine, self.wrong = sessions, engine, wrong
        recruited = {"source": "prolific", "external_id": external_id} if external_id else {}
        self.id = self.do(sessions.begin, Begin.model_validate({"recruited": recruited}))["session"]
        self.lease, self.seq = None, 0

    def do(self, what, *args):
        with self.engine.begin() as db:
            return what(db, *args)

    def open(self):
        told = self.do(self.sessions.open, self.id, self.lease)
        self.lease = told.get("lease")
        return told

    def consent(self, message=AGREED):
        self.open()
        return self.do(self.sessions.consent, self.id, message)

    def label(self, number):
        with self.engine.begin() as db:
            where = (TRIAL.c.session_id == self.id) & (TRIAL.c.trial_no == number)
            return db.execute(select(TRIAL.c.label).where(where)).scalar()

    def shown(self, number):
        return self.event(type="shown", trial=number)

    def answered(self, number, response=None):
        label = self.label(number)
        right = response or (label if number not in self.wrong else {"cat": "cup", "cup": "sun", "sun": "cat"}[label])
        return self.event(type="answered", trial=number, answer={"response": right, "rt_ms": 500.0})

    def event(self, **values):
        self.seq += 1
        return self.take({"seq": self.seq, "t_ms": float(self.seq), **values})

    def take(self, *events):
        return self.do(self.sessions.take, self.id, self.lease, [Event.model_validate(event) for event in events])

    def go_through(self, trials):
        for trial in trials:
            self.shown(trial["trial"])
            told = self.answered(trial["trial"])
            assert "refused" not in told, told
            if told["state"] != "running":
                return told["state"]
        return None

    def finish(self, last_seq):
        return self.do(self.sessions.finish, self.id, self.lease, last_seq)

    def leave(self, *, keep):
        return self.do(self.sessions.withdraw, self.id, self.lease, keep)

    def rows(self, table):
        with self.engine.begin() as db:
            return db.execute(select(table).where(table.c.session_id == self.id)).mappings().all()


@pytest.fixture
def person(made):
    return Person(*made())


def test_practice_and_screening_come_in_an_order_that_differs(made):
    design = made()[0].design
    for phase, n in (("practice", 2), ("screening", 3)):
        orders = {
            tuple(row["stimulus_id"] for row in design.rows("", number) if row["phase"] == phase)
            for number in range(20)
        }
        assert len(orders) > 1 and {len(order) for order in orders} == {n} and len({*map(frozenset, orders)}) == 1


def test_a_whole_session_ends_with_a_code_that_stays(person):
    trials = person.consent()["trials"]
    assert [t["trial"] for t in trials] == list(range(1, 14))
    assert [t["phase"] for t in trials] == ["practice"] * 2 + ["screening"] * 3 + ["main"] * 8  # two of them catch
    with pytest.raises(RefusedError, match="trials_left"):
        person.finish(0)
    person.go_through(trials)
    with pytest.raises(RefusedError, match="missing"):
        person.finish(person.seq + 1)
    end = person.finish(person.seq)
    assert end["state"] == "finished" and end["code"]
    assert person.finish(person.seq) == end
    assert len(person.rows(RESPONSE)) == 13 and all(row["correct"] for row in person.rows(RESPONSE))
    main = [row for row in person.rows(TRIAL) if row["phase"] == "main"]
    assert len({row["reference"] for row in main}) == 6
    assert Counter(row["condition"] for row in main).most_common()[0][1] == 2


def test_what_is_sent_twice_is_kept_once(person):
    person.consent()
    shown = {"seq": 1, "t_ms": 1.0, "type": "shown", "trial": 1}
    answered = {"seq": 2, "t_ms": 2.0, "type": "answered", "trial": 1, "answer": {"response": "cat", "rt_ms": 9.0}}
    first = person.take(shown, answered)
    assert first["ack"] == 2 and first["feedback"] == {1: person.label(1)}
    assert person.take(shown, answered) == first == person.take(answered)
    assert [row["seq"] for row in person.rows(EVENT)] == [1, 2] and len(person.rows(RESPONSE)) == 1
    changed = person.take({**answered, "answer": {"response": "cup", "rt_ms": 9.0}})
    assert changed["conflicts"] == [2] and changed["ack"] == 2
    assert person.rows(RESPONSE)[0]["response"] == "cat" and len(person.rows(CONFLICT)) == 1


def test_nothing_is_kept_after_a_gap(person):
    person.consent()
    assert person.take({"seq": 2, "t_ms": 1.0, "type": "blur"})["ack"] == 0
    assert person.take({"seq": 1, "t_ms": 1.0, "type": "focus"}, {"seq": 2, "t_ms": 1.0, "type": "blur"})["ack"] == 2


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({"type": "shown", "trial": 2}, "not the next"),
        ({"type": "shown", "trial": 99}, "no such trial"),
        ({"type": "shown"}, "which trial"),
        ({"type": "answered", "trial": 1, "answer": {"response": "cat"}}, "not being shown"),
        ({"type": "form"}, "empty form"),
    ],
)
def test_what_the_state_does_not_allow_is_refused_and_noted(person, event, problem):
    person.consent()
    told = person.event(**event)
    assert problem in told["refused"]["reason"] and told["ack"] == 0
    assert len(person.rows(CONFLICT)) == 1 and not person.rows(EVENT)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"response": "dog"}, "no such choice"),
        ({"response": None}, "an answer is needed"),
        ({"response": None, "timed_out": True}, "an answer is needed"),  # there is no deadline
    ],
)
def test_an_answer_must_be_one_of_the_choices(person, answer, problem):
    person.consent()
    person.shown(1)
    assert person.event(type="answered", trial=1, answer=answer)["refused"]["reason"] == problem


def test_a_deadline_lets_a_trial_end_without_an_answer(made):
    person = Person(*made(times={"deadline_ms": 1500}))
    person.consent()
    person.shown(1)
    person.event(type="answered", trial=1, answer={"response": None, "timed_out": True})
    (row,) = person.rows(RESPONSE)
    assert row["timed_out"] and row["response"] is None and row["correct"] is False


def test_what_could_not_be_shown_has_no_score(person):
    person.consent()
    person.shown(1)
    person.event(type="answered", trial=1, answer={"response": None, "media_ok": False})
    assert person.rows(RESPONSE)[0]["correct"] is None


def test_a_word_is_found_however_it_is_typed(made):
    person = Person(*made(task="word"))
    person.consent()
    person.shown(1)
    person.answered(1, f"  {person.label(1).upper()} ")
    (row,) = person.rows(RESPONSE)
    assert row["correct"] and row["response"] == person.label(1) and row["response_raw"] != row["response"]


def test_too_few_right_screening_trials_end_the_session(made):
    sessions, engine = made(codes={"screened_out": "SORRY"})
    person = Person(sessions, engine, wrong=(3, 4))
    assert person.go_through(person.consent()["trials"]) == "screened_out"
    (gate,) = person.rows(CHECK)
    assert (gate["score"], gate["n"], gate["threshold"], gate["passed"]) == (1, 3, 2, False)
    told = person.shown(6)
    assert told["state"] == "screened_out" and told["ack"] == person.seq  # and nothing is kept of it
    assert not [row for row in person.rows(EVENT) if row["seq"] == person.seq]
    assert person.finish(0)["code"] == "SORRY"


def test_only_wrong_answers_count_against_a_participant(made):
    sessions, engine = made()
    person = Person(sessions, engine, wrong=(3,))
    trials = person.consent()["trials"]
    person.go_through(trials[:3])
    for number in (4, 5):
        person.shown(number)
        person.event(type="answered", trial=number, answer={"response": None, "media_ok": False})
    (gate,) = person.rows(CHECK)
    assert (gate["score"], gate["n"], gate["passed"]) == (0, 1, True)


def test_practice_does_not_tell_what_was_not_answered(person):
    person.consent()
    person.shown(1)
    asked = {"seq": 1, "t_ms": 1.0, "type": "answered", "trial": 2, "answer": {"response": "cat"}}
    assert person.take(asked)["feedback"] == {}


def test_who_declines_sees_nothing(made):
    person = Person(*made())
    end = person.consent(Consent(decision="declined", language="en", text_hash="0" * 64))
    assert end["state"] == "declined" and "trials" not in end and not person.rows(TRIAL)
    assert person.do(person.sessions.consent, person.id, AGREED) == end  # it stands


@pytest.mark.parametrize("unanswered", ["skip", "repeat"])
def test_a_trial_that_was_shown_is_not_shown_as_new(made, unanswered):
    person = Person(*made(unanswered=unanswered))
    trials = person.consent()["trials"]
    person.go_through(trials[:6])
    person.shown(7)
    left = person.open()["trials"]  # the page was loaded again
    order = [8, 9, 10, 11, 12, 13] + ([7] if unanswered == "repeat" else [])
    assert [trial["trial"] for trial in left] == order
    blocks = [trial["block"] for trial in left]
    assert blocks == sorted(blocks) and (unanswered == "skip" or blocks.count(blocks[-1]) == 1)
    assert "not the next" in person.shown(7)["refused"]["reason"]
    person.seq -= 1
    person.go_through(left)
    assert person.finish(person.seq)["state"] == "finished"
    attempts = {row["trial_no"]: row["attempt"] for row in person.rows(RESPONSE)}
    assert attempts.get(7) == (2 if unanswered == "repeat" else None)
    assert person.rows(SESSION)[0]["n_resumes"] == 1


def test_one_tab_at_a_time(person, clock):
    person.consent()
    with pytest.raises(RefusedError, match="in_use"):
        person.do(person.sessions.open, person.id, None)
    clock.pass_(seconds=41)
    person.do(person.sessions.open, person.id, None)
    with pytest.raises(RefusedError, match="in_use"):
        person.shown(1)  # the first tab has lost it


def test_a_tab_that_did_not_hear_of_its_lease_asks_again(person):
    person.consent()
    held, following = person.rows(SESSION)[0]["lease"], "ab" * 16
    for lease in (held, None):
        told = person.do(person.sessions.open, person.id, lease, None, following)
        assert told["lease"] == following and person.rows(SESSION)[0]["n_resumes"] == 1
    person.lease = following
    person.shown(1)
    # A browser that crashed may have what it knew before: the trial that was shown is over all the same.
    assert 1 not in [t["trial"] for t in person.do(person.sessions.open, person.id, held, None, following)["trials"]]
    assert person.rows(SESSION)[0]["n_resumes"] == 2 and person.rows(TRIAL)[0]["state"] == "interrupted"
    with pytest.raises(RefusedError, match="in_use"):
        person.do(person.sessions.open, person.id, held, None, "cd" * 16)


def test_who_comes_again_goes_on_and_who_comes_late_does_not(made, clock):
    sessions, engine = made()
    first = Person(sessions, engine, "prolific-1")
    first.consent()
    with pytest.raises(RefusedError, match="in_use"):  # whoever knows the name does not get the session
        Person(sessions, engine, "prolific-1")
    clock.pass_(minutes=31)
    again = Person(sessions, engine, "prolific-1")
    assert again.id == first.id and again.open()["state"] == "running"
    clock.pass_(minutes=61)
    assert again.event(type="focus")["state"] == "expired" == again.open()["state"]
    assert not again.rows(EVENT)
    assert Person(sessions, engine, "prolific-2").id != first.id


def test_who_reads_the_consent_form_slowly_is_not_late(made, clock):
    person = Person(*made())
    person.open()
    clock.pass_(minutes=120)
    person.do(person.sessions.consent, person.id, AGREED)
    clock.pass_(minutes=50)
    assert person.event(type="focus")["state"] == "running"


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_set_does_not_lock_anybody_out(person, clock, hours):
    person.open()
    clock.pass_(hours=hours)
    assert person.do(person.sessions.open, person.id, None)["state"] == "created"


def test_lists_that_are_given_up_are_dealt_again(made, clock):
    sessions, engine = made()
    people = [Person(sessions, engine) for _ in range(3)]
    for person in people:
        person.consent()
    number = lambda person: person.rows(SESSION)[0]["list_number"]  # noqa: E731
    assert [number(person) for person in people] == [0, 1, 2]
    people[1].leave(keep=True)
    clock.pass_(minutes=30)
    people[2].event(type="focus")
    clock.pass_(minutes=31)  # the first was silent for more than an hour
    late = [Person(sessions, engine) for _ in range(3)]
    for person in late:
        person.consent()
    assert [number(person) for person in late] == [0, 1, 3]
    pilot = Person(made(mode="pilot")[0], engine)
    pilot.consent()
    assert number(pilot) == 0  # does not count among the others


@pytest.mark.parametrize("keep", [True, False])
def test_who_withdraws_decides_what_is_kept(made, keep):
    sessions, engine = made()
    person = Person(sessions, engine, "prolific-1")
    person.go_through(person.consent()["trials"][:2])
    person.leave(keep=keep)
    late = person.event(type="blur")  # as the page is left
    assert late["state"] == "withdrawn" and late["ack"] == person.seq
    for table in (RESPONSE, TRIAL, CONSENT, IDENTITY):
        assert bool(person.rows(table)) is keep
    assert [row["seq"] for row in person.rows(EVENT)] == ([1, 2, 3, 4] if keep else [])
    assert not person.rows(CONFLICT)
    assert person.rows(SESSION)[0]["state"] == "withdrawn"
    person.leave(keep=False)  # may still be asked for
    assert not person.rows(RESPONSE) and not person.rows(EVENT)


def test_a_missing_metamer_is_replaced_or_left_out(made):
    def without(mode):
        sessions, engine = made(missing=mode, mode="pilot")
        gone = [s for s in sessions.design.stimuli if s.condition != "secretnet/omega"]
        sessions.design.__dict__["stimuli"] = [*gone, *(s for s in sessions.design.stimuli if s.source == "r0")]
        person = Person(sessions, engine)
        person.consent()
        return [row for row in person.rows(TRIAL) if row["phase"] == "main"]

    replaced, skipped = without("substitute_natural"), without("skip")
    assert len(replaced) == 6 and any(row["substituted"] for row in replaced)
    assert all(row["condition"] == "natural" for row in replaced if row["substituted"])
    assert len(skipped) < 6 and not any(row["substituted"] for row in skipped)
