"""`metamers replicate` on a made-up folder."""

import json
import sys

import pytest

from metamers.cli import main


@pytest.fixture
def replicate(monkeypatch, capsys, tmp_path):
    """Runs `metamers replicate feather2023 OPTIONS` in a folder of the test's own: code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*options, article="feather2023"):
        monkeypatch.setattr(sys, "argv", ["metamers", "replicate", article, *map(str, options)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_json_is_one_object_with_every_row(replicate, data, tmp_path):
    code, out, err = replicate("--data", data, "--out", "out", "--permutations", 100, "--json")
    assert code == 0 and out.count("\n") == 1
    said = json.loads(out)
    assert len(said["anova"]) == 18 and said["disagreements"] == []
    needed = {"experiment", "comparison", "effect", "ours", "published", "relative_difference"}
    assert all(needed <= set(row) for row in said["anova"])
    assert said["anova"][2]["ours"]["F"] is None  # an error term
    assert (tmp_path / said["report"]).is_file()
    assert "note: missing: experiment Vision_EXP12 (Visual 2)" in err


def test_ours_stands_beside_theirs(replicate, data):
    code, out, err = replicate("--data", data, "--out", "out", "--permutations", 100)
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("  network_or_human:layer"))
    ours, theirs = line.split("SS ")[1].split(",")[0].rstrip(")").split(" (")
    assert ours == theirs
    assert "18 of 18 published ANOVA rows agree; largest relative difference" in err


def test_bad_input_is_one_line(replicate, data, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    for options, said in (
        (("--data", "nowhere"), "--data nowhere: no such folder"),
        (("--data", "other"), "has no file (Vision|Audio)Experiment"),
        (("--data", data, "--out", "other"), "--out other: exists and holds something else"),
        (("--data", data, "--permutations", 0), "--permutations"),
    ):
        code, out, err = replicate(*options)
        assert (code, out) == (2, "") and said in err.splitlines()[-1]
    assert replicate("--data", data, article="feather2019")[0] == 2
