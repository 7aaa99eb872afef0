"""A made-up folder of published data: the real layout, small, written by scipy."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from metamers.analysis import mixed_anova, repeated_measures_anova

NAME = "{}_network_vs_humans_datamatrix_{}_public.mat"
STAGES = ("natural_image", "conv1_relu1_fake_relu", "layer4_fake_relu", "final")

MakeMat = Callable[..., Path]


@pytest.fixture
def make_mat(tmp_path: Path) -> MakeMat:
    """Writes a .mat file as the published ones; `changes` replace its arrays."""

    def make(
        experiment: str = "VisionExperiment1", model: str = "alexnet", n: int = 6, seed: int = 0, **changes
    ) -> Path:
        rng = np.random.default_rng(seed)
        matrix = np.stack([rng.uniform(0.1, 1, (n, len(STAGES))), rng.uniform(0.8, 1, (n, len(STAGES)))], axis=2)
        arrays = {
            "participant_data_matrix": matrix.round(3),
            "participants": [str(i) for i in range(n)],
            "model_layers": list(STAGES),
            "conditions": ["Human", "Network"],
            "axis_order": ["participants", "model_layers", "conditions"],
        }
        path = tmp_path / "data" / "human" / NAME.format(experiment, model)
        path.parent.mkdir(parents=True, exist_ok=True)
        savemat(path, {key: value for key, value in (arrays | changes).items() if value is not None})
        return path

    return make


@pytest.fixture
def data(make_mat: MakeMat, tmp_path: Path) -> Path:
    """Two models of one experiment, their analyses, and two models' accuracy on each other's metamers."""
    from metamers.published.mat_files import find_mat_files, read_mat_file

    make_mat()
    make_mat(model="resnet50", seed=1)
    folder = tmp_path / "data"
    scores = pd.concat([read_mat_file(file) for file in find_mat_files(folder)])
    people = scores[scores["condition"] == "human"]
    both = scores[scores["model"] == "alexnet"]
    both = both.assign(who=both["condition"] + both["participant"].astype(str), network_or_human=both["condition"])
    tables = {
        ("human_vs_network_mixed", "alexnet"): mixed_anova(
            both.rename(columns={"stage": "layer"}),
            value="proportion",
            subject="who",
            within="layer",
            between="network_or_human",
        ),
        ("human_models_rm", "alexnet|resnet50"): repeated_measures_anova(
            people.rename(columns={"stage_index": "layer", "model": "model_type"}),
            value="proportion",
            subject="participant",
            within=["layer", "model_type"],
        ),
        ("human_stage_rm", "alexnet"): repeated_measures_anova(
            people[(people["model"] == "alexnet") & (people["stage"] != "final")],
            value="proportion",
            subject="participant",
            within=["stage"],
        ),
    }
    parts = [
        table.assign(analysis=kind, comparison=f"{kind} of {models}", models=models)
        for (kind, models), table in tables.items()
    ]
    published = pd.concat(parts).drop(columns=["epsilon_GG", "epsilon_HF", "note"])
    published = published.assign(modality="vision", repo_experiment="Vision_EXP1", permutation_p=np.nan)
    published.to_csv(folder / "anova_published.csv", index=False, float_format="%.5g")
    with (folder / "model_model_accuracy.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["modality", "generating_model", "stage_index", "stage", "observing_model", "accuracy"])
        for i, stage in enumerate(STAGES[1:]):
            for generating in ("alexnet", "resnet50"):
                for observing in ("alexnet", "resnet50", "vgg_19"):
                    accuracy = 0.9 if observing == generating else 0.9 - 0.2 * i - 0.05 * (generating == "alexnet")
                    writer.writerow(["vision", generating, i + 1, stage, observing, accuracy])
    return folder
