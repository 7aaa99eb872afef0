"""A study whose file changes from one run to the next: nothing stale is used, nothing needed is lost."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

NETS = """

def convs():
    torch.manual_seed(1)
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 4)
    return nn.Sequential(*layers)

def big():
    return convs(), 32
"""
STUDY = {
    **{"models": "nets.py:net", "stages": [1], "recipes": [{"name": "fast", "set": {"steps": 6}}]},
    **{"null_pairs": 500, "batch_size": 2, "report": False, "criterion": {"quantile": "0.5"}},
}
COLUMNS = ("participant=participant", "stimulus=stimulus", "response=response")
IMPORT = ("import-responses", "run", "answers.csv", "--columns", *COLUMNS)
CONVS = "{source: nets.py:convs, input_size: 16}"
LARGER = "{source: nets.py:convs, input_size: 24}"


@pytest.fixture
def run(cli, images, null_npz):
    """Runs the study, some of it changed."""
    labels = ["airplane", "anchor", "airplane", "anchor"]
    files = [f"{i % 2}/{i % 2}_{i}.png" for i in range(4)]
    pd.DataFrame({"file": files, "label": labels}).to_csv("labels.csv", index=False)
    stimuli = {"source": str(images)}
    Path("study.yaml").write_text(yaml.safe_dump(STUDY | {"stimuli": stimuli, "null_stimuli": "null.npz"}))
    Path("nets.py").write_text(Path("nets.py").read_text() + NETS)
    return lambda *changes: cli("run", "study.yaml", "--out", "run", "--set", "stimuli.limit=4", *changes)


def rows(name):
    return pd.read_csv(f"run/tables/{name}.csv", dtype=str).fillna("")


def other_weights():
    Path("nets.py").write_text(Path("nets.py").read_text().replace("torch.manual_seed(0)", "torch.manual_seed(5)"))


def test_answers_to_metamers_that_were_made_anew_do_not_count(cli, run):
    assert run().code == 0
    cells = rows("matches")
    answers = pd.DataFrame({"participant": "p", "stimulus": cells.cell, "response": cells.label})
    answers.to_csv("answers.csv", index=False)
    assert cli(*IMPORT).code == 0
    assert (rows("responses").observer == "human").sum() == 4
    assert run("models=nets.py:features").code == 0 and cli("clean", "run", "--yes").code == 0
    other_weights()
    assert run().code == 0 and set(rows("matches").cell) == set(cells.cell)
    assert (rows("responses").observer != "human").all()
    assert any("human" in path.name for path in Path("run/responses").iterdir())


def test_answers_of_a_model_that_had_the_name_of_another_do_not_count(cli, run):
    both = f"models=[{CONVS}, nets.py:net]"
    assert run(both).code == 0 and set(rows("responses").observer) == {"convs", "net"}
    assert run(f"models={CONVS}").code == 0 and cli("clean", "run", "--yes").code == 0
    other_weights()
    assert run(both, "observers=nets.py:net").code == 0
    told = {(record["observer"], record["weights_hash"]) for record in records("responses")}
    assert {name for name, _ in told} == {"convs", "net"} and len(told) == 2
    assert set(rows("responses").observer) == {"convs", "net"}


def records(kind):
    return [json.loads(path.read_text()) for path in Path("run", kind).rglob("*.json")]


def test_cells_of_another_input_size_are_no_part(cli, run):
    assert run(f"models=[nets.py:net, {CONVS}]").code == 0
    assert run().code == 0
    refused = run(f"models=[nets.py:net, {LARGER}]")
    assert refused.code == 2 and "holds cells of another model 'convs'" in refused.err
    assert cli("clean", "run", "--yes").code == 0
    assert run(f"models=[nets.py:net, {LARGER}]").code == 0
    assert len(rows("matches")) == 8 and cli("verify", "run").code == 0
    assert cli("status", "run", "--json").json["done"] == 8


def test_only_nulls_that_were_judged_by_are_in_the_table(cli, run):
    assert run().code == 0
    assert run("models=nets.py:features").code == 0
    other_weights()
    assert run("recipes=[{name: fast, set: {steps: 5}}]").code == 0
    assert len(rows("null")) == 3 and len(list(Path("run/null/net/1").iterdir())) == 2
    assert cli("clean", "run", "--yes").code == 0 and len(list(Path("run/null/net/1").iterdir())) == 1
    assert len(rows("null")) == 3 and cli("verify", "run").code == 0


def test_starts_are_those_of_the_first_stage(cli, run):
    controls = ("controls=start", "stimuli.labels=labels.csv", "observers=bundled:picto-resnet")
    assert run(*controls, "stages=[1, 2]").code == 0 and len(rows("controls")) == 4
    assert run(*controls, "stages=2").code == 0
    assert len(rows("controls")) == 4 and rows("controls").cell.str.startswith("start/net/2/").all()
    assert cli("clean", "run", "--yes").code == 0 and len(rows("controls")) == 4


def test_tables_are_never_of_what_the_study_was_before(cli, run, monkeypatch):
    assert run("analyses=[accuracy, seeds]", "seeds=[0, 1]").code == 0
    assert {path.name for path in Path("run/analyses").iterdir()} == {"accuracy.csv", "seeds.csv"}

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("metamers.study.local.cut_batches", killed)
        assert run("recipes=[{name: fast, set: {steps: 5}}]").code == 130
    assert rows("matches").empty and set(rows("responses").stage) <= {"natural"}
    assert run("analyses=accuracy", "seeds=[0, 1]").code == 0
    assert {path.name for path in Path("run/analyses").iterdir()} == {"accuracy.csv"}


def test_models_of_another_size_or_without_decision_come_beside(run):
    assert run().code == 0
    before = rows("matches")
    for models in (
        "[nets.py:big, nets.py:net]",
        "[nets.py:big]",
        "[nets.py:net, nets.py:features]",
        "nets.py:features",
    ):
        told = run(f"models={models}")
        assert told.code == 0, told.err
    assert run().code == 0
    pd.testing.assert_frame_equal(rows("matches"), before)


def test_untrained_metamers_follow_the_study(cli, run):
    controls = ("controls=untrained", "stimuli.labels=labels.csv", "observers=bundled:picto-resnet")
    assert run(*controls).code == 0
    assert set(rows("controls").model) == {"untrained-net"} and len(rows("controls")) == 4
    assert run(controls[1], "models=nets.py:features").code == 0 and cli("clean", "run", "--yes").code == 0
    nets = Path("nets.py").read_text()
    nets = nets.replace("Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(7)", "Conv2d(3, 4, 5), nn.ReLU(), nn.AvgPool2d(6)")
    Path("nets.py").write_text(nets)
    told = run(*controls)
    assert told.code == 0 and len(rows("controls")) == 4, told.err
    assert cli("verify", "run/controls/untrained").code == 0


def test_a_run_killed_before_its_study_was_written_is_free(run):
    Path("run").mkdir()
    Path("run/stimuli.json").write_text("{}")
    assert run().code == 0


def test_anew_leaves_what_is_not_of_the_run_and_what_people_answered(cli, run, images):
    assert run().code == 0
    cells = rows("matches")
    answers = pd.DataFrame({"participant": "p", "stimulus": cells.cell, "response": cells.label})
    answers.to_csv("answers.csv", index=False)
    assert cli(*IMPORT).code == 0
    Path("run/notes.txt").write_text("mine")
    first, second, *_ = sorted(images.rglob("*.png"))
    first.write_bytes(second.read_bytes())
    assert run("--anew").code == 0
    kept = rows("responses")
    assert (kept.observer == "human").sum() == 3  # the fourth metamer has another reference now
    assert Path("run/notes.txt").read_text() == "mine"


def test_each_recipe_has_its_own_rows(cli, run):
    recipes = "recipes=[{name: fast, set: {steps: 5, step_size: 0.1}}, {name: fast, set: {step_size: 0.1, steps: 6}}]"
    assert run(recipes, "analyses=accuracy").code == 0
    names = {"fast step_size=0.1 steps=5", "fast step_size=0.1 steps=6"}
    assert set(rows("matches").recipe) == names
    assert set(pd.read_csv("run/analyses/accuracy.csv").recipe) == names
    assert {row["recipe"] for row in cli("analyze", "accuracy", "run", "--json").json["rows"]} == names
    assert cli("report", "run").code == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "are pooled here" in page and 'href="analyses/accuracy.csv"' in page


def test_observers_that_the_study_does_not_name_are_told(cli, run):
    labels = "stimuli.labels=labels.csv"
    assert run(labels, "observers=bundled:picto-resnet").code == 0
    assert Path("run/tables/recognition.csv").is_file()
    told = run(labels)
    assert told.code == 0 and "answers of picto-resnet, whom the study does not name" in told.err


def test_the_record_of_a_run_is_no_study(cli, run):
    assert run().code == 0
    told = cli("run", "run/study.yaml", "--out", "other")
    assert told.code == 2 and "what a run records of itself" in told.err and told.err.count("\n") == 1
