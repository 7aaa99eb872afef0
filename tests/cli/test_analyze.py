"""`metamers analyze`: every subcommand on a small run, and what is refused."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from metamers import analysis
from metamers.report.results import read_results
from metamers.store import read_table
from metamers.store.store import FORMAT
from metamers.study.analyses import ANALYSES, Responses, merits, seeds

MODELS, STAGES, REFERENCES, LABELS = ("net", "deep"), ("a", "b", "c"), 8, ("cat", "cup")
KNOWN = {"natural": 1.0, "a": 0.9, "b": 0.6, "c": 0.4}


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Two models, three stages, two seeds; seen by both models, another one and six people."""
    return write_run(tmp_path / "run")


def write_run(folder: Path, seeds=(0, 1), people=6, stages=STAGES) -> Path:
    rng = np.random.default_rng(0)
    cells = [
        cell_of(folder, rng, model, stage, i, seed)
        for model in MODELS
        for stage in stages
        for i in range(REFERENCES)
        for seed in seeds
    ]
    described = {"stages": list(stages), "classes": list(LABELS), "weights_hash": "ab"}
    study = {"format": FORMAT, "recipes": [{"name": "fast"}], "seeds": list(seeds)}
    study["models"] = [{"name": model, **described} for model in MODELS]
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    shared = {"recipe": "fast", "settings": {"name": "fast"}, "weights_hash": "ab", "notes": []}
    for model, stage, seed in itertools.product(MODELS, stages, seeds):
        own = {"id": f"s{seed}", "model": model, "stage": stage, "seed": seed}
        own["cells"] = [cell for cell in cells if all(cell[key] == own[key] for key in ("model", "stage", "seed"))]
        path = folder / "batches" / model / stage / f"s{seed}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**shared, **own}))
    shown = [
        {"cell": f"natural/r{i}", "model": None, "stage": "natural", "recipe": None, "reference": f"r{i}", "seed": None}
        | {"sha256": f"r{i}"}
        for i in range(REFERENCES)
    ] + cells
    observers = [(m, None) for m in (*MODELS, "other")] + [("people", f"p{i}") for i in range(people)]
    (folder / "responses").mkdir()
    respond(folder, [answer(rng, stimulus, *observer) for observer in observers for stimulus in shown])
    return folder


def respond(folder, rows):
    (folder / "responses" / "one.json").write_text(json.dumps({"id": "one", "responses": rows}))
    shutil.rmtree(folder / "tables", ignore_errors=True)  # derived from the records


def responses_of(folder):
    return json.loads((folder / "responses" / "one.json").read_text())["responses"]


def cell_of(folder, rng, model, stage, i, seed):
    name = f"{model}/{stage}/fast/r{i}"
    files = {"file": f"metamers/{name}.s{seed}.png", "reference_file": f"references/r{i}.png"}
    for file in files.values():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / file)
    keys = {"model": model, "stage": stage, "recipe": "fast", "reference": f"r{i}", "seed": seed}
    keys |= {"sha256": f"{name}.s{seed}", "reference_sha256": f"r{i}"}
    verdict = "failed" if (model, stage, i, seed) == ("net", "c", 0, 0) else "passed"
    return {"cell": f"{name}/s{seed}", **keys, **files, "verdict": verdict, "null_snr_db": None}


def answer(rng, stimulus, observer, participant):
    label = LABELS[int(stimulus["reference"][1:]) % 2]
    correct = bool(rng.random() < (1.0 if observer == stimulus["model"] else KNOWN[stimulus["stage"]]))
    keys = {name: stimulus[name] for name in ("cell", "model", "stage", "recipe", "reference", "seed", "sha256")}
    return {
        **keys,
        **{"observer": observer, "observer_kind": "human" if participant else "model", "participant": participant},
        **{"label": label, "response": label if correct else LABELS[LABELS[0] == label], "correct": correct},
        "rt_ms": None,
    }


@pytest.mark.parametrize(
    ("what", "n", "columns"),
    [
        ("recognition", 4 + 4 * 6, {"proportion", "sem", "ci_low", "ci_high", "chance"}),
        ("anova", 2 * 6, {"model", "effect", "F", "pValueHF", "partial_eta_sq", "permutation_p"}),
        ("relation", 1, {"r_squared", "spearman_rho", "kendall_tau", "n"}),
        ("consistency", 7 * 36, {"kappa", "kappa_max"}),
        ("reliability", 1, {"reliability", "r", "n_participants"}),
        ("idiosyncrasy", 6, {"own", "other", "idiosyncrasy", "relation"}),
        ("seeds", 6 * 4, {"between_seeds", "to_reference", "agreement"}),
        ("accuracy", 4 + 4 * 6, {"balanced_accuracy", "n_labels"}),
        ("merit", 2, {"merit", "ci_low", "difference"}),
    ],
)
def test_each_analysis_gives_its_table(cli, run_folder, what, n, columns):
    said = cli("analyze", what, run_folder, "--json")
    assert said.code == 0
    rows = said.json["rows"]
    assert len(rows) == n
    assert columns <= set(rows[0])
    assert "Traceback" not in said.err


def test_cells_that_failed_are_left_out(cli, run_folder):
    rows = cli("analyze", "accuracy", run_folder, "--json").json["rows"]
    n = {(r["model"], r["stage"], r["observer"]): r["n"] for r in rows}
    assert (n["net", "c", "other"], n["net", "b", "other"]) == (15, 16)


def test_tables_are_for_reading_too(cli, run_folder):
    said = cli("analyze", "merit", run_folder)
    assert said.code == 0 and said.out.split()[:3] == ["run", "model", "n_stages"]
    assert len(said.out.splitlines()) == 3


def test_several_runs_are_told_apart(cli, run_folder, tmp_path):
    other = write_run(tmp_path / "other")
    rows = cli("analyze", "confusion", run_folder, other, "--json").json["rows"]
    assert {row["run"] for row in rows} == {str(run_folder), str(other)}
    rows = cli("analyze", "merit", run_folder, other, "--observers", "human", "--json").json["rows"]
    assert len(rows) == 4 and rows[0]["difference"] == 0
    assert {row["n_observers"] for row in rows} == {1}
    by_models = cli("analyze", "merit", run_folder, other, "--json").json["rows"]
    assert by_models[0]["merit"] != rows[0]["merit"]
    points = cli("analyze", "relation", run_folder, other, "--json").json["points"]
    alone = cli("analyze", "relation", run_folder, "--json").json["points"]
    assert [(p["model"], p["stage"]) for p in points] == [(p["model"], p["stage"]) for p in alone]
    assert [p["n_people"] for p in points] == [2 * p["n_people"] for p in alone]
    assert "named twice" in cli("analyze", "merit", run_folder, run_folder).err


def test_a_model_that_people_did_not_see_is_left_out_and_named(cli, run_folder):
    rows = responses_of(run_folder)
    respond(run_folder, [row for row in rows if not (row["participant"] and row["model"] == "deep")])
    said = cli("analyze", "anova", run_folder, "--permutations", 0, "--json")
    assert {row["model"] for row in said.json["rows"]} == {"net"} and len(said.json["rows"]) == 6
    assert "note: the metamers of deep were not shown to both people and other models" in said.err


def test_repeated_measures_of_stage_and_model(cli, run_folder):
    said = cli("analyze", "anova", run_folder, "--design", "repeated", "--permutations", 200, "--json")
    rows = {row["effect"]: row for row in said.json["rows"]}
    assert rows["Error(stage:model)"]["DF"] == 3 * 1 * 5
    assert rows["(Intercept):stage"]["permutation_p"] == pytest.approx(1 / 201)
    assert rows["Error(stage)"]["F"] is None


def test_the_most_frequent_answers_come_first(cli, run_folder):
    rows = cli("analyze", "confusion", run_folder, "--json").json["rows"]
    groups: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["stage"], row["observer"]), []).append(row["n"])
    assert all(counts == sorted(counts, reverse=True) for counts in groups.values())
    assert max(map(len, groups.values())) > 2


def test_depths_are_those_of_the_stages_of_all_runs(cli, run_folder, tmp_path):
    few = write_run(tmp_path / "few", stages=("a", "c"))
    for runs in ((run_folder, few), (few, run_folder)):
        points = cli("analyze", "relation", *runs, "--json").json["points"]
        assert {(p["stage"], p["depth"]) for p in points} == {("a", 0), ("b", 0.5), ("c", 1)}


def test_depths_that_the_runs_leave_open_are_refused(cli, tmp_path):
    few, first, turned = (
        write_run(tmp_path / name, seeds=(0,), people=2, stages=tuple(name)) for name in ("ac", "ab", "ca")
    )
    said = cli("analyze", "relation", few, first)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "the runs do not tell whether 'c' or 'b' of 'net' comes first, so the depth" in said.err
    said = cli("analyze", "relation", few, turned)
    assert "the runs have the stages of 'net' in different orders; analyze each by itself" in said.err


def test_relation_is_drawn(cli, run_folder, tmp_path):
    said = cli("analyze", "relation", run_folder, "--figure", tmp_path / "points.svg", "--json")
    assert len(said.json["points"]) == 6
    assert (tmp_path / "points.svg").read_text().startswith("<?xml")


def test_tables_of_models_and_robustness(cli, run_folder):
    Path("models.csv").write_text("model,architecture,training\nnet,r,s\ndeep,r,s\nother,q,adversarial\n")
    rows = cli("analyze", "idiosyncrasy", run_folder, "--models", "models.csv", "--json").json["rows"]
    assert [row["relation"] for row in rows[:2]] == [
        "same architecture, another seed",
        "other architecture and training",
    ]
    Path("robust.csv").write_text("model,robustness\nnet,0.1\ndeep,0.4\n")
    said = cli("analyze", "robustness", run_folder, "--robustness", "robust.csv", "--json").json
    assert len(said["points"]) == 2 and said["rows"][0]["note"] == "undefined: fewer than 3 points"


def test_an_observer_without_common_labels_is_named(cli, run_folder):
    rows = responses_of(run_folder)
    respond(run_folder, [row | {"correct": None} if row["observer"] == "other" else row for row in rows])
    said = cli("analyze", "recognition", run_folder)
    assert said.code == 0
    assert "note: no response of other in run is scored: the stimuli have none of its labels" in said.err


def test_bad_input_is_one_line(cli, run_folder, tmp_path):
    alone = write_run(tmp_path / "alone", seeds=(0,), people=0)
    Path("other.csv").write_text("x\n1\n")
    for arguments, said in (
        (("merit", "nowhere"), "nowhere: not a run"),
        (("seeds", alone), "no reference has metamers from two seeds"),
        (("relation", alone), "no model-stage was shown to both people and other models"),
        (("anova", alone), "no responses of people; import responses first"),
        (("reliability", alone), "needs 4 human participants"),
        (("anova", alone, "--design", "repeated"), "no human observers"),
        (("idiosyncrasy", alone, "--models", "nowhere.csv"), "nowhere.csv: cannot be read"),
        (("robustness", alone, "--robustness", "other.csv"), "lacks the column 'model'"),
        (("relation", alone, "--figure", "x.txt"), "ends in .svg"),
        (("recognition", run_folder, "--over", "stimulus"), "--over"),
    ):
        ended = cli("analyze", *arguments)
        assert (ended.code, ended.out) == (2, ""), arguments
        assert said in ended.err.splitlines()[-1], arguments


def test_duplicate_trials_and_missing_cells_are_named(cli, run_folder):
    rows = responses_of(run_folder)
    respond(run_folder, [*rows, rows[-1]])
    said = cli("analyze", "accuracy", run_folder).err
    assert "participant 'p5' of 'people' answered deep/c/fast/r7/s1 twice; keep one" in said
    respond(run_folder, [row for row in rows if (row["participant"], row["stage"]) != ("p5", "b")])
    assert "subject 'people p5', stage 'b' is missing" in cli("analyze", "anova", run_folder).err


def test_participants_who_lack_a_stage_are_left_out_where_asked(cli, run_folder):
    rows = responses_of(run_folder)
    for number, design in enumerate(("mixed", "repeated")):
        asked = ("analyze", "anova", run_folder, "--design", design, "--permutations", 0, "--json")
        respond(run_folder, [row for row in rows if row["participant"] != "p5"])
        without = cli(*asked).json["rows"]
        gone = ("p5", "b") if number else ("p5", "natural")
        respond(run_folder, [row for row in rows if (row["participant"], row["stage"]) != gone])
        assert "or who lacks it" in cli(*asked).err
        said = cli(*asked, "--leave-out-incomplete")
        of = "" if number else "of net "
        assert f"note: left out, as a stage {of}is missing: 1 of" in said.err and "(people p5)" in said.err
        assert said.json["rows"] == [{**row, "n_left_out": 1} for row in without]


def test_recognition_is_in_the_order_of_the_stages(cli, run_folder):
    respond(run_folder, responses_of(run_folder)[::-1])
    rows = cli("analyze", "recognition", run_folder, "--resamples", 2, "--json").json["rows"]
    assert list(dict.fromkeys((row["model"], row["stage"]) for row in rows)) == [
        *(("", "natural"), *(("net", stage) for stage in STAGES), *(("deep", stage) for stage in STAGES))
    ]


@pytest.fixture
def results(run_folder):
    return read_results(run_folder)


@pytest.fixture
def whole(results):
    """The responses as one table, but for those to the cell that failed."""
    table = read_table(results.store, "responses")
    return table[table["cell"] != "net/c/fast/r0/s0"]


@pytest.mark.parametrize(
    ("name", "of_table"),
    [
        ("recognition", lambda table: analysis.bootstrap_recognition(table, chance=0.5)),
        ("accuracy", analysis.balanced_accuracy),
        ("confusion", analysis.confusion),
        ("consistency", analysis.error_consistency),
        ("idiosyncrasy", analysis.idiosyncrasy),
        ("seeds", analysis.seed_agreement),
    ],
)
def test_what_is_made_of_parts_is_that_of_the_whole(results, whole, monkeypatch, name, of_table):
    expected = of_table(whole)
    for rows in (1, 500):
        monkeypatch.setattr("metamers.study.analyses._ROWS", rows)
        monkeypatch.setattr("metamers.store.tables._ROWS", rows)
        found = ANALYSES[name](Responses(results, print))[
            expected.columns.drop(["n_references", "n_pairs"], errors="ignore")
        ]
        keys = ["model", "stage", "observer_a", "observer_b", "observer", "label", "response"]
        keys = [key for key in keys if key in found]
        found, wanted = (t.sort_values(keys, ignore_index=True) for t in (found, expected[found.columns]))
        pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


def test_merits_of_several_recipes_have_their_own_rows(cli, run_folder):
    alone = cli("analyze", "merit", run_folder, "--json").json["rows"]
    study = yaml.safe_load((run_folder / "study.yaml").read_text())
    study["recipes"].append({"name": "slow"})
    (run_folder / "study.yaml").write_text(yaml.safe_dump(study))
    for path in run_folder.glob("batches/*/*/s1.json"):
        record = json.loads(path.read_text())
        record |= {"recipe": "slow", "settings": {"name": "slow"}}
        record["cells"] = [cell | {"recipe": "slow"} for cell in record["cells"]]
        path.write_text(json.dumps(record))
    respond(run_folder, [row | ({"recipe": "slow"} if row["seed"] == 1 else {}) for row in responses_of(run_folder)])
    rows = cli("analyze", "merit", run_folder, "--json").json["rows"]
    assert [(row["model"], row["recipe"], row["difference"] == 0) for row in rows] == [
        *(("net", "fast", True), ("deep", "fast", False), ("net", "slow", True), ("deep", "slow", False))
    ]
    assert len({row["merit"] for row in rows}) == 4 and len(alone) == 2
    assert "by fast, slow are pooled" in cli("analyze", "relation", run_folder).err


def test_merits_by_model_are_those_of_the_whole(results, whole, tmp_path):
    other = read_results(write_run(tmp_path / "other", seeds=[3], people=2))
    of_other = read_table(other.store, "responses")
    tables = {
        str(results.store.folder): whole,
        str(other.store.folder): of_other[of_other["model"].fillna("") != "deep"],
    }
    respond(other.store.folder, [row for row in responses_of(other.store.folder) if row["model"] != "deep"])
    runs = {str(run.store.folder): run for run in (results, other)}
    known = {name: (run.stages, run.chances(run.answers())) for name, run in runs.items()}
    for observers in ("model", "human"):
        found = merits([Responses(run, print) for run in runs.values()], observers, 50)
        expected = analysis.compare_runs(
            tables,
            stages={name: stages for name, (stages, _) in known.items()},
            chance={name: chance for name, (_, chance) in known.items()},
            observer_kind=observers,
            n_resamples=50,
        )
        pd.testing.assert_frame_equal(found, expected)
        assert len(found) == 3 and found["merit"].nunique() == 3


def test_distances_of_seeds_are_pooled_over_references(results, monkeypatch):
    whole = seeds(Responses(results, print))
    n = {(row.model, row.stage): row.n_references for row in whole.itertuples()}
    assert n == {(model, stage): 8 - ((model, stage) == ("net", "c")) for model in MODELS for stage in STAGES}
    monkeypatch.setattr("metamers.study.analyses._SIGNALS", 1)
    pd.testing.assert_frame_equal(seeds(Responses(results, print)), whole)


def test_a_wrong_response_is_refused_whatever_is_said_of_other_stages(cli, run_folder):
    rows = responses_of(run_folder)
    twice = next(row for row in rows if row["stage"] == "b")
    respond(run_folder, [*rows, twice])
    for what in ("consistency", "idiosyncrasy", "merit", "seeds"):
        assert "twice" in cli("analyze", what, run_folder).err
    respond(run_folder, [*rows[:-1], rows[-1] | {"observer_kind": "robot"}])
    for what in ("confusion", "consistency", "idiosyncrasy", "seeds"):
        assert "observer_kind 'robot' is neither 'model' nor 'human'" in cli("analyze", what, run_folder).err
