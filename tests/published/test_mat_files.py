"""Published .mat files: what is read, by which names, and what is refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from metamers.errors import MetamersError
from metamers.published.mat_files import MatFile, find_mat_files, read_mat_file


def read(path):
    return read_mat_file(MatFile(path, "vision", "Vision_EXP1", "alexnet"))


def refused(path) -> str:
    with pytest.raises(MetamersError) as error:
        read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


def test_a_file_becomes_a_row_per_participant_stage_and_condition(make_mat):
    table = read(make_mat())
    assert len(table) == 6 * 4 * 2
    assert table.iloc[:3]["condition"].tolist() == ["human", "network", "human"]
    row = table[(table.participant == 2) & (table.stage == "layer4_fake_relu") & (table.condition == "network")]
    assert 0.8 <= row["proportion"].item() <= 1 and row["stage_index"].item() == 2


def test_files_are_found_by_their_names_anywhere(make_mat, tmp_path):
    make_mat("AudioExperiment12", "net_public")
    make_mat("VisionExperiment3", "resnet50")
    deep = tmp_path / "data" / "more" / "deep"
    deep.mkdir(parents=True)
    (deep / "VisionExperiment3_network_vs_humans_datamatrix_resnet50_public.mat").write_bytes(
        (
            tmp_path / "data" / "human" / "VisionExperiment3_network_vs_humans_datamatrix_resnet50_public.mat"
        ).read_bytes()
    )
    (deep / "notes.mat").write_text("not one of them")
    found = find_mat_files(tmp_path)
    assert [(f.modality, f.experiment, f.model) for f in found] == [
        ("audio", "Audio_EXP12", "net_public"),
        ("vision", "Vision_EXP3", "resnet50"),
    ]


def test_two_different_files_of_one_name_are_refused(make_mat, tmp_path):
    path = make_mat()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / path.name).write_bytes(b"different")
    with pytest.raises(MetamersError, match="differs from"):
        find_mat_files(tmp_path)


class Code:
    def __reduce__(self):
        return (Path.touch, (Path("touched"),))


def test_nothing_but_plain_arrays_is_read(make_mat, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = make_mat(model_layers=np.array(["a", "b", 3, 4], dtype=object))
    assert "'model_layers' is a cell, not a plain array" in refused(path)
    savemat(path, {"participant_data_matrix": {"field": 1.0}})
    assert "is a struct, not a plain array" in refused(path)
    path.write_bytes(pickle.dumps(Code()))
    assert "not a readable MATLAB 5 file" in refused(path)
    assert not Path("touched").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"participant_data_matrix": None}, "has no 'participant_data_matrix'"),
        ({"model_layers": ["natural_image", "final"]}, "has the shape (6, 4, 2), not participants x (2, 2)"),
        ({"conditions": ["Network", "Human"]}, "conditions are Network, Human"),
        ({"participant_data_matrix": np.full((6, 4, 2), 1.5)}, "no proportions"),
        ({"participant_data_matrix": np.full((6, 4, 2), np.nan)}, "no proportions"),
        ({"participant_data_matrix": np.zeros((6, 8))}, "has the shape (6, 8)"),
        ({"participant_data_matrix": np.zeros((2, 1 << 20), np.uint8)}, "more than any published array"),
    ],
)
def test_other_contents_are_refused(make_mat, changes, said):
    assert said in refused(make_mat(**changes))


def test_damaged_files_are_refused(make_mat):
    path = make_mat()
    whole = path.read_bytes()
    for content in (b"", whole[:100], whole[:300], b"HDF" * 100, whole[:-200] + b"\xff" * 200):
        path.write_bytes(content)
        refused(path)
    path.write_bytes(bytes(17 << 20))
    assert "larger than 16 MB" in refused(path)
