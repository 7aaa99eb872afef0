"""Two candidates beside a reference: who sees which pair, what a browser is told, and what comes of the answers."""

import json
from collections import Counter
from statistics import NormalDist

import httpx
import pytest
import yaml
from pydantic import ValidationError
from sqlalchemy import select
from tests.experiment.conftest import LABELS, rows, write_pairs

from metamers.errors import MetamersError
from metamers.experiment.config import ExperimentConfig, preset
from metamers.experiment.database import CHECK, RESPONSE, TRIAL
from metamers.experiment.export import IN_PAIRS, TRIALS, export
from metamers.experiment.making import read_experiment
from metamers.experiment.opened import open_experiment
from metamers.experiment.pairs import COLUMNS, compared, preferences
from metamers.experiment.planning import plan
from metamers.experiment.serving import served
from metamers.experiment.simulate import simulate
from metamers.experiment.summary import summary_of
from metamers.experiment.trials import Design
from metamers.observers.trials import read_trials

NAMES = {
    "secretnet/alpha | secretnet/omega",
    "secretnet/alpha | hiddennet/alpha",
    "secretnet/omega | hiddennet/alpha",
}


@pytest.fixture
def design(paired):
    return Design(*read_experiment(paired))


@pytest.fixture
def opened(paired):
    opened = open_experiment(paired)
    yield opened
    opened.engine.dispose()


def main_of(design, number):
    return [row for row in design.rows("s", number) if row["phase"] == "main"]


def cells(*shown):
    return [
        {"model": model, "stage": stage, "reference": reference, "verdict": verdict}
        for model, stage, reference, verdict in shown
    ]


def test_each_reference_comes_once_and_each_pair_as_often_as_the_others(design):
    for number in range(12):
        main = main_of(design, number)
        assert sorted(row["reference"] for row in main) == [f"r{i}" for i in range(6)]
        assert Counter(row["condition"] for row in main) == dict.fromkeys(NAMES, 2)
        assert all(row["label"] is None and row["assigned"] == row["condition"] for row in main)


def test_over_lists_each_reference_comes_in_each_pair_alike(design):
    seen = Counter((row["reference"], row["condition"]) for number in range(30) for row in main_of(design, number))
    assert seen == dict.fromkeys(design.cells, 10) and len(seen) == 18


def test_a_trial_shows_a_reference_and_its_metamers_in_both_conditions(design):
    for row in main_of(design, 0):
        shown = [design.by_id[row[f"{part}_id"]] for part in ("stimulus", "first", "second")]
        assert {stimulus.source for stimulus in shown} == {row["reference"]}
        assert shown[0].condition == "natural"
        assert {stimulus.condition for stimulus in shown[1:]} == set(row["condition"].split(" | "))


def test_a_condition_is_on_the_left_in_half_of_the_trials(design):
    left = Counter[str]()
    for number in range(200):
        by_pair: dict[str, list[bool]] = {}
        for row in main_of(design, number):
            first = design.by_id[row["first_id"]].condition
            by_pair.setdefault(row["condition"], []).append(first == row["condition"].split(" | ")[0])
        assert all(sum(places) == 1 for places in by_pair.values())  # of a participant's two trials
        left.update(
            row["reference"] for row in main_of(design, number) if row["condition"].startswith(_first(design, row))
        )
    assert all(60 <= left[f"r{i}"] <= 140 for i in range(6))  # nor does a reference tell the place


def _first(design, row):
    return f"{design.by_id[row['first_id']].condition} |"


def test_the_right_answer_is_on_either_side(design):
    told = [row for number in range(50) for row in design.rows("s", number) if row["phase"] != "main"]
    for row in told:
        right, wrong = (row["first_id"], row["second_id"])[:: 1 if row["label"] == "first" else -1]
        assert right == row["stimulus_id"] != wrong
        assert design.by_id[wrong].condition == "natural"
    for phase in ("practice", "catch"):  # of two trials, one
        assert [row["label"] for row in told if row["phase"] == phase].count("first") == 50
    assert {row["label"] for row in told if row["phase"] == "screening"} == {"first", "second"}


def test_trials_are_made_the_same_again_but_for_their_addresses(design):
    def told(number):
        return [{k: v for k, v in row.items() if "media" not in k} for row in design.rows("s", number)]

    assert told(3) == told(3) != told(4)
    addresses = [row[name] for row in design.rows("s", 0) for name in ("media", "first_media", "second_media")]
    assert len(set(addresses)) == len(addresses) and all(len(address) == 32 for address in addresses)


def test_a_pair_without_both_metamers_is_left_out(paired):
    config, stimuli = read_experiment(paired)
    config = config.model_copy(update={"missing": "skip"})
    gone = [s for s in stimuli if (s.source, s.condition) != ("r2", "secretnet/omega")]
    design = Design(config, gone)
    seen = {(row["reference"], row["condition"]) for number in range(3) for row in main_of(design, number)}
    assert (
        seen
        == set(design.cells)
        == {(f"r{i}", name) for i in range(6) for name in NAMES if i != 2 or "omega" not in name}
    )


def test_by_default_stages_at_the_same_place_are_compared():
    shown = cells(
        ("a", "x", "r1", "passed"), ("a", "y", "r1", "failed"), ("a", "z", "r1", "passed"),
        ("b/c", "x", "r1", "passed"), ("b/c", "y", "r1", "passed"), ("b/c", "z", "r1", "passed"),
    )  # fmt: skip
    # A stage at which nothing passed moves none of the others.
    assert compared(None, shown) == (("a/x", "b/c/x"), ("a/z", "b/c/z"))
    assert compared([("a/x", "a/z")], shown) == (("a/x", "a/z"),)
    assert compared(None, shown[:3]) == (("a/x", "a/z"),)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("a/x", "a/yy")], "'a/yy' is no MODEL/STAGE of the metamers; did you mean 'a/y'"),
        ([("a/x", "natural")], "'natural' is no MODEL/STAGE"),
        ([("a/x", "a/y")], "no reference has a metamer of both a/x | a/y"),
        (None, "make no pair of the same reference"),
    ],
)
def test_what_cannot_be_compared_is_refused(pairs, words):
    shown = cells(("a", "x", "r1", "passed"), ("a", "y", "r1", "failed"), ("a", "y", "r2", "passed"))
    with pytest.raises(MetamersError, match=words) as error:
        compared(pairs, shown)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "image"}, "pairs are of the tasks image_pair and sound_pair"),
        ({"missing": "substitute_natural"}, "compare a reference with itself"),
        ({"natural_share": 0.5}, "natural_share"),
        ({"pairs": [["a/x", "a/x"]]}, "compared with itself"),
        ({"pairs": [["a/x", "a/y"], ["a/y", "a/x"]]}, "compared twice"),
        ({"practice": 1, "screening": {"trials": 0, "pass": 0}, "catch": {"trials": 0, "pass": 0}}, "two or none"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(changes, words):
    values = {"name": "x", "labels": LABELS, "task": "image_pair", "pairs": [["a/x", "a/y"]]}
    ExperimentConfig.model_validate(values)
    with pytest.raises(ValidationError, match=words):
        ExperimentConfig.model_validate({**values, **changes})


def test_an_experiment_whose_pairs_were_taken_out_is_refused(paired):
    path = paired / "experiment.yaml"
    values = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**values, "pairs": None}))
    with pytest.raises(MetamersError, match="pairs is missing"):
        read_experiment(paired)
    path.write_text(yaml.safe_dump({**values, "pairs": [["secretnet/alpha", "secretnet/beta"]]}))
    with pytest.raises(MetamersError, match="'secretnet/beta' is no MODEL/STAGE"):
        read_experiment(paired)


@pytest.mark.parametrize("name", ["pairs-vision", "pairs-audio"])
def test_presets_ask_for_pairs(name):
    config = ExperimentConfig.model_validate({**preset(name), "name": "x", "labels": []})
    assert config.in_pairs and config.choices == ("first", "second")
    assert (config.headphones.trials > 0) == (name == "pairs-audio")


def test_nothing_tells_a_browser_which_candidate_is_which(paired):
    agreed = {"decision": "agreed", "language": "en", "text_hash": "0" * 64}
    secrets = ["secretnet", "hiddennet", "alpha", "omega", "natural", "catch", '"label"']
    secrets += [f'"{name}"' for name in (*LABELS, "r0", "r5", "p0", "c1")]
    with served(open_experiment(paired), "live") as url, httpx.Client(base_url=url, trust_env=False) as browser:
        seen = [browser.post("/api/sessions", json={}), browser.post("/api/open", json={})]
        lease = seen[-1].json()["lease"]
        seen.append(browser.post("/api/consent", json=agreed))
        trials = seen[-1].json()["trials"]
        assert all(len(trial["candidates"]) == 2 for trial in trials)
        right = {}
        for trial in trials[:7]:
            media = [browser.get(f"/media/{one}") for one in (trial["media"], *trial["candidates"])]
            assert all(one.status_code == 200 and one.headers.keys() == media[0].headers.keys() for one in media)
            right[trial["trial"]] = "first" if media[1].content == media[0].content else "second"
            for kind in ("shown", "answered"):
                seq = len(seen) - 2
                event = {"seq": seq, "t_ms": 1.0, "type": kind, "trial": trial["trial"]}
                if kind == "answered":
                    event["answer"] = {"response": right[trial["trial"]], "rt_ms": 400.0}
                seen.append(browser.post("/api/events", json={"lease": lease, "events": [event]}))
                assert seen[-1].json()["ack"] == seq
                practiced = trial["phase"] == "practice" and kind == "answered"
                told = {str(trial["trial"]): right[trial["trial"]]} if practiced else {}
                assert seen[-1].json()["feedback"] == told
        assert seen[1].json()["experiment"]["labels"] == ["first", "second"]
        with httpx.Client(base_url=url, trust_env=False) as other:
            other.post("/api/sessions", json={})
            assert other.get(f"/media/{trials[0]['candidates'][0]}").status_code == 404
    for response in seen:
        text = json.dumps(dict(response.headers)) + str(response.url) + response.text
        assert not [secret for secret in secrets if secret in text], text


def test_catch_and_screening_trials_are_scored_and_main_trials_not(opened):
    simulate(opened, 6, seed=0, accuracy=lambda stimulus: float(stimulus.source != "s0"))
    opened = open_experiment(opened.folder)
    with opened.engine.begin() as db:
        trials = db.execute(select(TRIAL, RESPONSE).join(RESPONSE, _same_trial())).mappings().all()
        gates = [row["score"] for row in db.execute(select(CHECK)).mappings()]
    assert gates == [2] * 6
    for row in trials:
        if row["phase"] == "main":
            chosen = opened.design.by_id[row[f"{row['response_raw']}_id"]]
            assert row["correct"] is None and row["response"] == chosen.condition
        else:
            assert row["correct"] == (row["reference"] != "s0") == (row[f"{row['response']}_id"] == row["stimulus_id"])


def _same_trial():
    return (TRIAL.c.session_id == RESPONSE.c.session_id) & (TRIAL.c.trial_no == RESPONSE.c.trial_no)


def test_only_places_are_answers(made_paired):
    from tests.experiment.test_sessions import Person

    person = Person(*made_paired)
    person.consent()
    person.shown(1)
    for said in ("cat", "secretnet/alpha", "third", ""):
        told = person.event(type="answered", trial=1, answer={"response": said, "rt_ms": 9.0})
        assert told["refused"]["reason"] == "no such choice"
        person.seq -= 1
    with person.engine.begin() as db:
        wrong = {"first": "second", "second": "first"}[db.execute(select(TRIAL.c.label)).scalars().first()]
    assert person.event(type="answered", trial=1, answer={"response": wrong, "rt_ms": 9.0})["feedback"]
    assert [row["correct"] for row in person.rows(RESPONSE)] == [False]


@pytest.fixture
def made_paired(opened, clock):
    from metamers.experiment.sessions import Sessions

    return Sessions(opened.design, opened.hash, "live", b"k" * 64, clock), opened.engine


def test_the_table_of_preferences_is_a_count_by_hand(opened, tmp_path):
    chance = {"secretnet/alpha": 0.9, "secretnet/omega": 0.3, "hiddennet/alpha": 0.1}
    simulate(
        opened, 30, seed=2, accuracy=lambda s: chance[s.condition] if s.phase == "main" else float(s.source != "s1")
    )
    assert export(opened, tmp_path / "out")["included"] == 30
    trials = [row for row in rows(tmp_path / "out/trials.csv") if row["phase"] == "main"]
    table = rows(tmp_path / "out/pairs.csv")
    assert tuple(table[0]) == COLUMNS and {row["pair"] for row in table} == NAMES
    for row in table:
        said = [trial["response"] for trial in trials if trial["condition"] == row["pair"]]
        n, chosen = len(said), said.count(row["condition"])
        assert (int(row["n"]), int(row["chosen"])) == (n, chosen) and n == 60
        assert set(said) <= {row["condition"], row["other"]}
        assert float(row["proportion"]) == pytest.approx(chosen / n)
        z = NormalDist().inv_cdf(0.975)
        middle = (chosen + z**2 / 2) / (n + z**2)
        half = z / (n + z**2) * (chosen * (n - chosen) / n + z**2 / 4) ** 0.5
        assert float(row["low"]) == pytest.approx(middle - half) and float(row["high"]) == pytest.approx(middle + half)
        wanted = chance[row["condition"]] / (chance[row["condition"]] + chance[row["other"]])
        assert abs(chosen / n - wanted) < 4 * (wanted * (1 - wanted) / n) ** 0.5
    for trial in trials:
        assert trial["response"] == trial[trial["response_raw"]] and trial["label"] == trial["correct"] == ""
        for place in ("first", "second"):
            assert trial[f"{place}_cell"] == f"{trial[place]}/{trial['reference']}"
    assert [name for name in trials[0] if name in IN_PAIRS] == list(IN_PAIRS)
    assert set(trials[0]) == {row["name"] for row in rows(tmp_path / "out/codebook.csv")} == {*TRIALS, *IN_PAIRS}
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "pairs.csv" in names and not names & {"responses.csv", "model-vs-human"}


def test_who_does_not_count_is_not_in_the_table(opened, tmp_path):
    simulate(opened, 3, seed=0, accuracy=lambda stimulus: 0.0)  # screened out, after no main trial
    opened = open_experiment(opened.folder)
    export(opened, tmp_path / "out")
    assert {(row["n"], row["chosen"], row["proportion"]) for row in rows(tmp_path / "out/pairs.csv")} == {
        ("0", "0", "")
    }


def test_a_trial_without_an_answer_prefers_nothing():
    trials = [{"condition": "a | b", "response": response} for response in ("a", None, "b", "a")]
    (row,) = preferences([("a", "b")], trials)
    assert (row["n"], row["chosen"]) == (3, 2)


@pytest.mark.parametrize("name", ["trials.csv", "pairs.csv"])
def test_preferences_are_not_imported_as_recognition(opened, tmp_path, name):
    simulate(opened, 1, seed=0)
    export(opened, tmp_path / "out")
    with pytest.raises(MetamersError, match="preferences between two candidates, which name nothing") as error:
        read_trials(tmp_path / "out" / name)
    assert "\n" not in str(error.value)


def test_virtual_participants_prefer_the_earlier_stage(opened, tmp_path):
    simulate(opened, 24, seed=0)
    export(opened, tmp_path / "out")
    (within,) = [row for row in rows(tmp_path / "out/pairs.csv") if "hiddennet" not in row["pair"]]
    assert float(within["low"]) > 0.5  # the first of two stages


def test_researchers_see_pairs(opened):
    simulate(opened, 3, seed=0, accuracy=lambda stimulus: 1.0)
    told = summary_of(open_experiment(opened.folder))["coverage"]["simulated"]
    assert told == {"answers": dict.fromkeys(NAMES, 6), "least": 1, "most": 1}


def test_a_plan_counts_pairs_and_three_files_a_trial(paired):
    config, stimuli = read_experiment(paired)
    found = plan(config, stimuli, paired, participants=10)
    assert (found.conditions, found.sources, found.main_trials, found.trials) == (3, 6, 6, 13)
    assert found.trials_per_condition == (2, 2) and found.natural_trials == (0, 0) and found.seen == (3, 4)
    size = sum((paired / stimulus.file).stat().st_size for stimulus in stimuli) / len(stimuli)
    assert found.megabytes == pytest.approx(3 * 13 * size / 1e6)
    assert found.se_participant == pytest.approx((0.25 / 2) ** 0.5)


def test_sounds_are_compared_after_a_headphone_check(tmp_path):
    folder = write_pairs(tmp_path / "exp", task="sound_pair", headphones={"trials": 2, "pass": 2})
    opened = open_experiment(folder)
    visits = simulate(opened, 3, seed=0, accuracy=lambda stimulus: 1.0)
    assert [visit.state for visit in visits] == ["finished"] * 3
    with open_experiment(folder).engine.begin() as db:
        scores = {(row["name"], row["score"]) for row in db.execute(select(CHECK)).mappings()}
    assert scores == {("headphones", 2), ("screening", 3)}
