"""The archive for JATOS, and what is made of the results that JATOS gives back."""

import csv
import json
import re
from collections import Counter
from uuid import UUID
from zipfile import ZipFile

import pytest
import yaml
from tests.experiment.conftest import CONDITIONS, LABELS

from metamers.errors import MetamersError
from metamers.experiment import serving
from metamers.experiment.jatos import read_key, write_archive
from metamers.experiment.jatos_results import score
from metamers.experiment.making import read_experiment
from metamers.experiment.trials import Design
from metamers.store import sha256

AGREED = {"decision": "agreed", "language": "en", "text_hash": "0" * 64}
JAS = {
    *("uuid", "title", "description", "groupStudy", "linearStudy", "allowPreview", "dirName", "comments"),
    *("jsonData", "endRedirectUrl", "studyEntryMsg", "componentList", "batchList"),
}


@pytest.fixture
def page(monkeypatch, tmp_path):
    """A page that was built, whatever is in it."""
    from metamers.experiment import server

    folder = tmp_path / "page"
    folder.mkdir()
    for name in ("jatos.html", "jatos.js", "style.css", "index.html"):
        (folder / name).write_text(f"the page's {name}")
    monkeypatch.setattr(server, "PAGE", folder)


@pytest.fixture
def made(experiment, tmp_path, page):
    """An archive with five lists, and its key."""
    write_archive(experiment, tmp_path / "study.jzip", 5)
    return tmp_path / "study.jzip", tmp_path / "study.key.json"


def contents(archive):
    with ZipFile(archive) as file:
        return {info.filename: file.read(info) for info in file.infolist()}


def change(experiment, **values):
    path = experiment / "experiment.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values))


def test_the_archive_is_as_jatos_imports_it(experiment, made):
    found = contents(made[0])
    (properties,) = (name for name in found if name.endswith(".jas"))
    jas = json.loads(found[properties])
    study = jas["data"]
    assert jas.keys() == {"version", "data"} and jas["version"] == "3" and study.keys() == JAS
    assert {name.split("/")[0] for name in found if name != properties} == {study["dirName"]}
    assert re.fullmatch(r"\w+", study["dirName"]) and study["endRedirectUrl"] is None and not study["groupStudy"]
    (component,) = study["componentList"]
    assert (
        f"{study['dirName']}/{component['htmlFilePath']}" in found and component["active"] and component["reloadable"]
    )
    (batch,) = study["batchList"]
    assert len({UUID(one["uuid"]) for one in (study, component, batch)}) == 3
    own = {"index.html", "experiment.js", "style.css", "experiment.json", *(f"lists/{i}.json" for i in range(5))}
    there = {name.partition("/")[2] for name in found if name != properties}
    assert own < there and all(re.fullmatch(r"media/[0-9a-f]{32}\.png", name) for name in there - own)
    with ZipFile(made[0]) as file:
        assert {info.date_time[0] for info in file.infolist()} == {1980}
        names = [info.filename for info in file.infolist() if "/media/" in info.filename]
    assert names == sorted(names)


def test_the_key_tells_what_each_list_shows_and_is_the_servers_assignment(experiment, made):
    found, key = contents(made[0]), read_key(made[1])
    config, stimuli = read_experiment(experiment)
    by_id = {stimulus.stimulus: stimulus for stimulus in stimuli}
    folder = next(iter(found)).removesuffix(".jas")
    assert key.config == config and list(key.stimuli) == stimuli
    for number, rows in enumerate(key.lists):
        expected = Design(config, stimuli).rows("", number)
        told = json.loads(found[f"{folder}/lists/{number}.json"])
        assert len(rows) == len(expected) == len(told) == 13
        for shown, row, trial in zip(rows, expected, told, strict=True):
            assert shown.model_dump(exclude={"file"}) == {name: row[name] for name in row if hasattr(shown, name)}
            assert sha256(found[f"{folder}/media/{trial['media']}"]) == by_id[shown.stimulus_id].sha256
            hidden = "main" if shown.phase == "catch" else shown.phase
            label = {"label": shown.label} if shown.phase == "practice" else {}
            place = {"trial": shown.trial_no, "phase": hidden, "block": shown.block, "mask": shown.mask_seed}
            assert trial == {**place, "media": shown.file, **label}
    assert made[1].stat().st_mode & 0o077 == 0


def test_nothing_in_the_archive_tells_what_is_shown(experiment, made):
    config, stimuli = read_experiment(experiment)
    names = {s.stimulus for s in stimuli} | {s.source for s in stimuli} | {s.cell for s in stimuli}
    secrets = {*names, *CONDITIONS, "secretnet", "alpha", "omega", "natural", "catch", "substituted", config.name}
    for name, content in contents(made[0]).items():
        if name.endswith(".png"):
            content = b""  # what is shown itself, under a name that is looked at here
        text = name + content.decode()
        assert not [secret for secret in secrets if re.search(rf"\b{re.escape(secret)}\b", text)], name
        if name.endswith(".json") and "/lists/" in name:
            assert all(trial["phase"] == "practice" for trial in json.loads(content) if "label" in trial)
            assert sum(label in text for label in LABELS) <= 2  # of the practice trials
    other = contents(made[0]).keys() - contents_again(experiment, made).keys()
    assert sum("/media/" in name for name in other) == len(stimuli)  # no name follows from the experiment


def contents_again(experiment, made):
    path = made[0].with_name("again.jzip")
    write_archive(experiment, path, 5)
    return contents(path)


def test_the_code_at_the_end_is_known_to_jatos_only(experiment, tmp_path, page):
    change(experiment, return_url="https://example.org/?cc={code}", codes={"complete": "YES1", "declined": "NO1"})
    write_archive(experiment, tmp_path / "study.jzip", 1)
    found = contents(tmp_path / "study.jzip")
    with_code = [name for name, content in found.items() if b"YES1" in content]
    assert len(with_code) == 1 and with_code[0].endswith(".jas")
    assert json.loads(found[with_code[0]])["data"]["endRedirectUrl"] == "https://example.org/?cc=YES1"
    (told,) = (json.loads(content) for name, content in found.items() if name.endswith("/experiment.json"))
    assert told["declined"] == {"code": "NO1", "url": "https://example.org/?cc=NO1"}


def test_what_cannot_be_an_archive_is_refused_and_nothing_is_written(experiment, tmp_path, page, monkeypatch):
    with pytest.raises(MetamersError, match="jzip only"):
        write_archive(experiment, tmp_path / "study.zip", 1)
    (tmp_path / "other.key.json").write_text("")
    with pytest.raises(MetamersError, match=r"other\.key\.json: is there already"):
        write_archive(experiment, tmp_path / "other.jzip", 1)
    change(experiment, return_url="https://example.org/?cc={code}")
    with pytest.raises(MetamersError, match=r"codes\.complete"):
        write_archive(experiment, tmp_path / "study.jzip", 1)
    change(experiment, return_url=None, task="image_pair", pairs=[CONDITIONS[1:3]])
    with pytest.raises(MetamersError, match="image_pair is for our own server"):
        write_archive(experiment, tmp_path / "study.jzip", 1)
    change(experiment, task="image", pairs=None)

    def unbuilt():
        raise MetamersError("not built")

    monkeypatch.setattr(serving, "require_page", unbuilt)
    with pytest.raises(MetamersError, match="not built"):
        write_archive(experiment, tmp_path / "study.jzip", 1)
    assert not list(tmp_path.glob("*.jzip"))


class Taker:
    """Someone on JATOS: the lines that their page appends."""

    def __init__(self, key, run, number, wrong=()):
        self.key, self.number, self.wrong = key, number, wrong
        self.run, self.seq, self.said = f"{run:032x}", 0, {}
        begin = {"study": key.study, "list": number, "consent": AGREED, "environment": {"browser_family": "Chrome"}}
        self.lines = [self.line(begin=begin)]

    def line(self, **what):
        return json.dumps({"run": self.run, **what})

    def add(self, **what):
        self.lines.append(self.line(**what))

    def event(self, **what):
        self.seq += 1
        self.add(event={"seq": self.seq, "t_ms": float(self.seq), **what})

    def shown(self, trial):
        self.event(type="shown", trial=trial.trial_no)

    def answered(self, trial):
        right = trial.trial_no not in self.wrong
        response = trial.label if right else next(label for label in LABELS if label != trial.label)
        self.said[trial.trial_no] = response
        self.event(type="answered", trial=trial.trial_no, answer={"response": response, "rt_ms": 500.0 + self.seq})

    def go_through(self, first=0):
        for trial in self.key.lists[self.number][first:]:
            self.shown(trial)
            self.answered(trial)
        self.add(finish={"last_seq": self.seq})
        return self

    def of_phase(self, phase):
        return [trial.trial_no for trial in self.key.lists[self.number] if trial.phase == phase]


def exported(path, *takers):
    """What JATOS exports: the text of each result, and a line's end."""
    path.write_text("".join("".join(f"{line}\n" for line in taker.lines) + "\n" for taker in takers))
    return path


def table_of(scored):
    with scored.table.open() as file:
        return list(csv.DictReader(file))


def scored_of(tmp_path, made, *takers):
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    return score([exported(tmp_path / "results.txt", *takers)], made[1], out)


def test_main_trials_are_scored_as_they_were_answered(tmp_path, made):
    key = read_key(made[1])
    takers = [Taker(key, 10**30 + i, i).go_through() for i in range(5)]
    scored = scored_of(tmp_path, made, *takers)
    cells = {stimulus.stimulus: stimulus.cell for stimulus in key.stimuli}
    expected = [
        {"participant": taker.run, "cell": cells[trial.stimulus_id], "label": trial.label}
        | {"response": taker.said[trial.trial_no], "rt_ms": str(499.0 + 2 * trial.trial_no)}
        for taker in takers
        for trial in key.lists[taker.number]
        if trial.phase == "main"
    ]
    assert table_of(scored) == expected and len(expected) == 30
    assert (scored.participants, scored.excluded, scored.conflicts) == (5, {}, [])
    assert scored.table.name == f"jatos-{key.study}.csv" and scored.deleted == 0
    again = scored_of(tmp_path, made, *reversed(takers))
    assert again.table.read_bytes() == scored.table.read_bytes()  # whatever the order


def test_who_does_not_count_is_as_in_an_export(tmp_path, made):
    key = read_key(made[1])
    good = Taker(key, 1, 0).go_through()
    screened = Taker(key, 2, 1)
    screened.wrong = screened.of_phase("screening")[:2]
    caught = Taker(key, 3, 2)
    caught.wrong = caught.of_phase("catch")[:1]
    early = Taker(key, 4, 3).go_through()
    early.lines = early.lines[:-3]
    kept, deleted = Taker(key, 5, 4).go_through(), Taker(key, 6, 4).go_through()
    kept.lines[-1], deleted.lines[-1] = kept.line(withdraw={"keep": True}), deleted.line(withdraw={"keep": False})
    declined = Taker(key, 7, 0)
    begin = {"study": key.study, "list": None, "consent": {**AGREED, "decision": "declined"}, "environment": {}}
    declined.lines = [declined.line(begin=begin)]
    everyone = [good, screened.go_through(), caught.go_through(), early, kept, deleted, declined]
    scored = scored_of(tmp_path, made, *everyone)
    assert {row["participant"] for row in table_of(scored)} == {good.run} and scored.participants == 7
    name = {taker: taker.run for taker in everyone}
    assert name[deleted] not in scored.excluded and scored.excluded.keys() == {name[t] for t in everyone[1:5]} | {
        name[declined]
    }
    assert "screening 1" in scored.excluded[name[screened]] and scored.excluded[name[caught]] == "catch 1"
    assert scored.excluded[name[early]] == "finished running" and scored.deleted == 1


def test_who_sent_what_cannot_be_does_not_count_and_holds_up_nobody(tmp_path, made):
    key = read_key(made[1])
    good, odd = Taker(key, 1, 0).go_through(), Taker(key, 2, 1).go_through()
    told = json.loads(odd.lines[2])
    told["event"]["trial"] = 99
    odd.lines[2] = json.dumps(told)
    scored = scored_of(tmp_path, made, good, odd)
    assert {row["participant"] for row in table_of(scored)} == {good.run}
    assert "event 2 cannot be: no such trial" in scored.excluded[odd.run]


def test_lines_that_jatos_has_twice_or_out_of_order_count_once(tmp_path, made):
    key = read_key(made[1])
    whole = scored_of(tmp_path, made, Taker(key, 1, 0).go_through()).table.read_bytes()
    taker = Taker(key, 1, 0).go_through()
    taker.lines[3:3] = [taker.lines[8], taker.lines[2], "", f" {taker.lines[0]} "]
    assert scored_of(tmp_path, made, taker).table.read_bytes() == whole
    apart, rest = Taker(key, 1, 0).go_through(), Taker(key, 1, 0).go_through()
    apart.lines, rest.lines = apart.lines[:10], rest.lines[8:]  # a file that the participant sent
    files = [exported(tmp_path / "results.txt", apart), exported(tmp_path / "unsent.txt", rest)]
    assert score(files, made[1], tmp_path / "out").table.read_bytes() == whole


@pytest.mark.parametrize("unanswered", ["skip", "repeat"])
def test_a_page_that_was_loaded_again_interrupts_the_trial(experiment, tmp_path, page, unanswered):
    change(experiment, unanswered=unanswered)
    write_archive(experiment, tmp_path / "study.jzip", 1)
    made = None, tmp_path / "study.key.json"
    key = read_key(made[1])
    rows = key.lists[0]
    last = next(i for i in reversed(range(13)) if rows[i].phase == "main")
    taker = Taker(key, 1, 0)
    for trial in rows[:last]:
        taker.shown(trial)
        taker.answered(trial)
    taker.shown(rows[last])
    taker.add(reopen={"after": taker.seq})
    for trial in (*rows[last + 1 :], *([rows[last]] if unanswered == "repeat" else [])):
        taker.shown(trial)
        taker.answered(trial)
    taker.add(finish={"last_seq": taker.seq})
    scored = scored_of(tmp_path, made, taker)
    assert not scored.excluded and len(table_of(scored)) == (6 if unanswered == "repeat" else 5)


def test_what_a_run_says_twice_differently_is_told(tmp_path, made):
    key = read_key(made[1])
    taker = Taker(key, 1, 0).go_through()
    changed = json.loads(taker.lines[2])
    changed["event"]["answer"]["response"] = "other"
    taker.lines.append(json.dumps(changed))
    scored = scored_of(tmp_path, made, taker)
    assert scored.conflicts == [f"{tmp_path / 'results.txt'}, line {len(taker.lines)}"] and len(table_of(scored)) == 6


def harmed(change):
    def lines(taker):
        told = json.loads(taker.lines[2])
        change(told)
        return [*taker.lines[:2], json.dumps(told), *taker.lines[3:]]

    return lines


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (lambda t: ["{"], "line 1: Invalid JSON"),
        (harmed(lambda told: told.update(more=1)), "line 3: more: Extra inputs are not permitted"),
        (harmed(lambda told: told["event"].update(seq="2")), r"line 3: event\.seq: Input should be a valid integer"),
        (harmed(lambda told: told["event"]["answer"].update(correct=True)), r"line 3: event\.answer\.correct: Extra"),
        (harmed(lambda told: told.pop("event")), "line 3: a line holds a run and one thing"),
        (
            harmed(lambda told: told["event"]["answer"].update(response="dog")),
            "line 3: event 2 cannot be: no such choice",
        ),
        (harmed(lambda told: told["event"].update(trial=99)), "line 3: event 2 cannot be: no such trial"),
        (lambda t: t.lines[1:], "line 1: how its run began is missing"),
        (lambda t: [t.lines[0].replace(t.key.study, "x"), *t.lines[1:]], "line 1: is of another archive"),
        (lambda t: [t.lines[0].replace('"list": 0', '"list": 5'), *t.lines[1:]], "line 1: has no list of the 5"),
        (lambda t: [], "holds no results"),
        (lambda t: t.lines[:4], "none of its 1 participants counts"),
    ],
)
def test_what_is_no_result_is_refused_with_its_place(tmp_path, made, lines, words):
    taker = Taker(read_key(made[1]), 1, 0).go_through()
    taker.lines = lines(taker)
    with pytest.raises(MetamersError, match=words):
        scored_of(tmp_path, made, taker)


def test_what_is_no_key_is_refused(tmp_path, made):
    taker = Taker(read_key(made[1]), 1, 0).go_through()
    key = json.loads(made[1].read_text())
    for content, words in (
        (b"{", "Invalid JSON"),
        (json.dumps({**key, "version": 2}).encode(), "version"),
        (b"", "JSON"),
    ):
        made[1].write_bytes(content)
        with pytest.raises(MetamersError, match=words):
            scored_of(tmp_path, made, taker)
    key["stimuli"] = key["stimuli"][1:]
    made[1].write_text(json.dumps(key))
    with pytest.raises(MetamersError, match="has no stimulus"):
        scored_of(tmp_path, made, taker)


def test_lists_are_balanced_over_participants(experiment, tmp_path, page):
    write_archive(experiment, tmp_path / "study.jzip", 6)
    cells = Counter(
        (shown.reference, shown.condition)
        for rows in read_key(tmp_path / "study.key.json").lists
        for shown in rows
        if shown.phase == "main"
    )
    assert set(cells.values()) == {2} and len(cells) == 18
