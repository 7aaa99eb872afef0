"""`metamers import-responses`: three kinds of files, and what is wrong with others."""

import csv
from pathlib import Path

import pytest

HEADER = "subj,session,trial,rt,object_response,category,condition,imagename"
GENERIC = ("--columns", "participant=who", "stimulus=what", "response=answer")


@pytest.fixture
def run(make_once):
    """A run of four references, labeled 0 and 1, at two stages."""
    return make_once("--stage", "0", "1")


def write(name, *lines):
    Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return name


def people(run):
    with (run / "tables" / "responses.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["observer_kind"] == "human"]


def test_model_vs_human(cli, run):
    file = write(
        "a.csv",
        HEADER.title(),
        "s1,1,1,0.85,0,0,natural,0_0.png",
        "s1,1,2,1.25,1,0,1,0_0.png",
        "s1,1,3,NaN,na,1,0,1_1.png",
        "s2,1,1,0.5,1,1,net/1,1_3.png",
        "",
    )
    ended = cli("import-responses", run, file, "--json")
    assert ended.code == 0
    assert {key: ended.json[key] for key in ("trials", "new", "participants", "unscored", "no_answer")} == {
        **{"trials": 4, "new": 4, "participants": 2, "unscored": 0, "no_answer": 1}
    }
    assert Path(ended.json["report"]).is_file()
    rows = people(run)
    assert [row["correct"] for row in rows] == ["True", "False", "False", "True"]
    assert [row["rt_ms"] for row in rows] == ["850.0", "1250.0", "", "500.0"]
    assert [(row["model"], row["stage"]) for row in rows] == [("", "natural"), ("net", "1"), ("net", "0"), ("net", "1")]
    assert [row["reference"] for row in rows] == ["0/0_0.png", "0/0_0.png", "1/1_1.png", "1/1_3.png"]
    assert {(row["observer"], row["participant"]) for row in rows} == {("human", "s1"), ("human", "s2")}


def test_a_stimulus_may_have_another_suffix_than_the_runs_file(cli, run):
    file = write("a.csv", HEADER, "s1,1,1,0.8,0,0,1,0_0.JPEG", "s1,1,2,0.8,0,0,natural,0_0")
    assert cli("import-responses", run, file, "--no-report").code == 0
    assert [row["stage"] for row in people(run)] == ["1", "natural"]


def test_responses_that_are_no_label_and_missing_answers_are_said(cli, run):
    file = write("a.csv", HEADER, "s1,1,1,0.8,kat,0,natural,0_0", "s1,1,2,0.8,0,0,1,0_0", "s1,1,3,0.8,na,1,1,1_1")
    said = cli("import-responses", run, file, "--no-report").err
    assert "note: no label of a stimulus: 'kat'; they count as wrong answers; --labels names the choices" in said
    assert "note: 1 trials without an answer count as wrong" in said


def test_the_same_file_is_imported_once(cli, run):
    file = write("a.csv", HEADER, "s1,1,1,0.85,0,0,natural,0_0.png")
    assert cli("import-responses", run, file, "--json", "--no-report").json["new"] == 1
    ended = cli("import-responses", run, file, "--no-report")
    assert "0 new of 1 trials; the run has 1 participants" in ended.err
    assert len(people(run)) == 1
    more = write("b.csv", HEADER, "s1,2,9,0.85,1,0,natural,0_0.png")
    refused = cli("import-responses", run, more)
    assert refused.code == 2
    assert "b.csv, row 2, column 'imagename': participant 's1' has answered to 'natural/16x16/0_0_0" in refused.err
    assert "in a.csv already" in refused.err


def test_a_corrected_file_replaces_the_one_of_its_name(cli, run):
    other = write("other.csv", HEADER, "s2,1,1,0.85,0,0,natural,0_0.png")
    file = write("a.csv", HEADER, "s1,1,1,0.85,0,0,natural,0_0.png", "s1,1,2,0.85,0,1,natural,1_1.png")
    assert cli("import-responses", run, other, file, "--no-report").code == 0
    write(file, HEADER, "s1,1,1,0.85,1,0,natural,0_0.png", "s1,1,2,0.85,1,1,natural,1_1.png")
    assert "import a corrected file with --replace" in cli("import-responses", run, file).err
    assert len(people(run)) == 3
    ended = cli("import-responses", run, file, "--replace", "--json", "--no-report")
    assert ended.json["new"] == 2
    assert ended.err.splitlines() == ["note: 2 answers of 1 participants from a.csv are replaced"]
    assert sorted((row["participant"], row["response"]) for row in people(run)) == [
        ("s1", "1"),
        ("s1", "1"),
        ("s2", "0"),
    ]
    ended = cli("import-responses", run, file, "--replace", "--no-report")
    assert ended.code == 0 and "replaced" not in ended.err
    assert len(people(run)) == 3


def test_a_name_that_several_imported_files_have_is_not_replaced(cli, run):
    for group, person in (("first", "s1"), ("second", "s2")):
        Path(group).mkdir()
        write(f"{group}/data.csv", HEADER, f"{person},1,1,0.85,0,0,natural,0_0.png")
        assert cli("import-responses", run, f"{group}/data.csv", "--no-report").code == 0
    write("first/data.csv", HEADER, "s1,1,1,0.85,1,0,natural,0_0.png", "s1,1,2,0.85,1,1,natural,1_1.png")
    ended = cli("import-responses", run, "first/data.csv", "--replace")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "2 files of the name 'data.csv' were imported, so it is unknown which to replace" in ended.err
    assert sorted((row["participant"], row["response"]) for row in people(run)) == [("s1", "0"), ("s2", "0")]
    for path in (run / "responses").glob("human.data-*.json"):
        assert f"responses/{path.name}" in ended.err
        if '"s1"' in path.read_text():
            path.unlink()  # as the message says
    assert cli("import-responses", run, "first/data.csv", "--no-report").code == 0
    assert len(people(run)) == 3


def test_our_own_table(cli, run):
    with (run / "tables" / "responses.csv").open() as file:
        shown = list(csv.DictReader(file))
    lines = [f"{row['cell']},s1,{row['label']},{row['label']},{i * 100 + 300}" for i, row in enumerate(shown)]
    write("own.csv", "cell,participant,label,response,rt_ms", *lines)
    assert cli("import-responses", run, "own.csv", "--json").json["new"] == 12
    assert [row["cell"] for row in people(run)] == [row["cell"] for row in shown]
    assert {row["correct"] for row in people(run)} == {"True"}
    assert people(run)[0]["rt_ms"] == "300.0"


def test_metamers_of_an_untrained_model_are_named_by_model_and_stage(cli, run):
    cli("recognize", run, "--by", "nets.py:net", "--controls", "untrained", "--no-report")
    rows = ("s1,1,1,0.8,0,0,1,0_0.png", "s1,1,2,0.8,1,0,untrained-net/1,0_0.png")
    assert cli("import-responses", run, write("a.csv", HEADER, *rows), "--json", "--no-report").json["new"] == 2
    assert [(row["model"], row["stage"]) for row in people(run)] == [("net", "1")]
    with (run / "tables" / "controls.csv").open() as file:
        controls = [row for row in csv.DictReader(file) if row["observer_kind"] == "human"]
    assert [(row["model"], row["correct"]) for row in controls] == [("untrained-net", "False")]


def test_columns_of_ones_own(cli, run):
    (metamer,) = run.glob("metamers/*/1/*/0_0_0*.png")
    file = write("x.csv", "\ufeffWho;what;answer;ms", f"ä;{metamer.relative_to(run)};0;900", "b;0_0;1;800")
    options = (*GENERIC, "rt=ms", "--rt-unit", "ms", "--json")
    refused = cli("import-responses", run, file, *options)
    assert "row 3, column 'what': '0_0' may be 'natural/" in refused.err
    assert people(run) == []
    write("x.csv", "Who;what;answer;ms", f"ä;{metamer.relative_to(run)};0;900")
    assert cli("import-responses", run, file, *options).json["new"] == 1
    assert people(run)[0]["participant"] == "ä"
    assert (people(run)[0]["stage"], people(run)[0]["correct"]) == ("1", "True")


def test_labels_that_people_could_choose_from(cli, run):
    write("labels.json", '["cat", "dog", "emu", "fox"]')
    file = write("a.csv", HEADER, "s1,1,1,0.85,cat,cat,natural,0_0.png", "s1,1,2,0.85,cat,dog,natural,1_1.png")
    refused = cli("import-responses", run, file)
    assert "row 2, column 'category': 'cat', but in the run 'natural/16x16/0_0_0" in refused.err
    assert cli("import-responses", run, file, "--labels", "labels.json", "--json").json["new"] == 2
    assert [(row["label"], row["correct"]) for row in people(run)] == [("cat", "True"), ("dog", "False")]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((HEADER,), "hold no rows"),
        (("a,b", "1,2"), "of no known kind; say which are which: --columns participant=NAME"),
        ((HEADER, "s1,1,1,0.85,0,0"), "a.csv, row 2: 6 cells under 8 columns"),
        ((HEADER, ",1,1,0.85,0,0,natural,0_0.png"), "row 2, column 'subj': empty"),
        ((HEADER, "s1,1,1,0.85,0,0,natural,"), "row 2, column 'imagename': empty"),
        ((HEADER, "s1,1,1,fast,0,0,natural,0_0.png"), "row 2, column 'rt': 'fast' is no response time"),
        ((HEADER, "s1,1,1,-1,0,0,natural,0_0.png"), "row 2, column 'rt': '-1' is no response time"),
        ((HEADER, "s1,1,1,inf,0,0,natural,0_0.png"), "row 2, column 'rt': 'inf' is no response time"),
        (
            (HEADER, "s1,1,1,0.8,0,0,natural,0_0.png", "s1,1,2,812,0,0,natural,0_2.png"),
            "row 3, column 'rt': 812 s looks like milliseconds; give all in one unit",
        ),
        (
            (HEADER, "s1,1,1,0.8,0,0,natural,0_0.png", "s1,1,1,0.8,0,0,natural,0_2.png"),
            "row 3, column 'trial': trial 1 of participant 's1' is in row 2 too",
        ),
        (
            (HEADER, "s1,1,1,0.8,0,0,natural,0_0.png", "s1,1,2,0.8,0,0,natural,0_0.png"),
            "row 3, column 'imagename': participant 's1' has answered to 'natural/16x16/0_0_0",
        ),
        (
            (HEADER, "s1,1,1,0.85,0,0,natural,0_9.png"),
            "the run shows no '0_9.png' in condition 'natural'; did you mean",
        ),
        ((HEADER, "s1,1,1,0.85,0,0,5,0_0.png"), "row 2, column 'imagename': '0_0.png' in condition '5' may be"),
        ((HEADER, "s1,1,1,0.85,0,1,natural,0_0.png"), "column 'category': '1', but in the run 'natural/"),
        ((HEADER, "s1,1,1,0.85,x,0,natural,0_0.png"), "no response ('x') is a label of the stimuli ('0'); mend"),
        (("cell,participant,response,Response", "a,b,c,d"), "have more than one column 'response'"),
        (("cell,participant,response,rt_ms", "a,b,c,0.8"), "column 'rt_ms': 0.8 ms looks like seconds"),
    ],
)
def test_a_file_with_a_problem_is_refused_whole(cli, run, lines, said):
    good = write("good.csv", HEADER, "s0,1,1,0.85,0,0,natural,0_0.png")
    ended = cli("import-responses", run, good, write("a.csv", *lines))
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert people(run) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--columns", "participant"), "--columns participant: give FIELD=COLUMN"),
        (("--columns", "subject=who"), "no field 'subject'"),
        (("--columns", "participant=who"), "the column of 'stimulus' is not named"),
        ((*GENERIC[:-1], "response=anser"), "have no column 'anser' (for response); did you mean 'answer'?"),
        ((*GENERIC, "rt=time"), "the unit of column 'time' is not known; give --rt-unit s or ms"),
        ((*GENERIC, "rt=time", "--rt-unit", "min"), "the unit of column 'time' is 'min'"),
        (
            (*GENERIC, "condition=where", "--labels", "cifar10"),
            "row 2, column 'answer': '0' is none of the labels 'cifar10'",
        ),
    ],
)
def test_options_that_do_not_fit(cli, run, options, said):
    file = write("x.csv", "who,what,answer,time,where", "a,0_0.png,0,1,natural")
    ended = cli("import-responses", run, file, *options)
    assert ended.code == 2
    assert said in ended.err


def test_files_that_are_none(cli, run):
    assert "x.csv' cannot be read (No such file" in cli("import-responses", run, "x.csv").err
    Path("b.csv").write_bytes(b"\xff\xfe\x00")
    assert "no UTF-8 text" in cli("import-responses", run, "b.csv").err
    assert "no file of responses" in cli("import-responses", run).err
    assert "not a run" in cli("import-responses", "nowhere", "b.csv").err
