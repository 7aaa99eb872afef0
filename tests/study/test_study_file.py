"""A study's YAML file: short forms, presets, variables, and errors that name the place."""

import pytest
import yaml

from metamers.errors import MetamersError
from metamers.study.config import StudyConfig
from metamers.study.study_file import PRESETS, preset, read_study

LEAST = {"models": "bundled:picto-resnet", "stimuli": "bundled:pictograms?n=2"}


@pytest.fixture
def written(tmp_path):
    def write(value):
        path = tmp_path / "study.yaml"
        path.write_text(value if isinstance(value, str) else yaml.safe_dump(value, sort_keys=False))
        return path

    return write


def test_short_forms_stand_for_whole_ones(written):
    short = LEAST | {"recipes": "fast", "seeds": 3, "observers": ["bundled:picto-alexnet"], "controls": "start"}
    long = {
        "models": [{"source": "bundled:picto-resnet"}],
        "stimuli": {"source": "bundled:pictograms?n=2"},
        **{"recipes": [{"name": "fast", "set": {}}], "seeds": [3], "controls": ["start"]},
        "observers": [{"source": "bundled:picto-alexnet", "labels": "identity"}],
    }
    assert read_study(written(short)) == read_study(written(long))


def test_a_quantile_may_be_a_number(written):
    assert read_study(written(LEAST | {"criterion": {"quantile": 0.999}})).criterion.quantile == "0.999"


def test_a_preset_fills_what_is_left_out(written):
    study = read_study(written({"preset": "quick", "seeds": [1, 2]}))
    assert study.seeds == (1, 2)
    assert study.recipes[0].name == "adam" and len(study.models) == 2
    vision = read_study(written({"preset": "feather2023-vision", **LEAST}))
    assert (vision.recipes[0].name, vision.null_pairs) == ("feather2023", 1_000_000)


@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_presets_are_parts_of_studies(name):
    StudyConfig.model_validate(LEAST | preset(name))


def test_a_preset_and_variables_may_be_changed_values(written, monkeypatch):
    monkeypatch.setenv("WHERE", "/data")
    study = read_study(written(LEAST), {"preset": "feather2023-vision", "stimuli.source": "${WHERE}/images"})
    assert (study.recipes[0].name, study.stimuli.source) == ("feather2023", "/data/images")


def test_variables_are_expanded_and_values_can_be_changed(written, monkeypatch):
    monkeypatch.setenv("WHERE", "/data")
    study = read_study(written(LEAST | {"stimuli": "${WHERE}/images"}), {"stimuli.limit": 4, "seeds": [7]})
    assert (study.stimuli.source, study.stimuli.limit, study.seeds) == ("/data/images", 4, (7,))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stimuli: x\n", "models is missing"),
        ("models: x\nstimulli: x\n", "line 2: there is no key 'stimulli'.*did you mean 'stimuli'"),
        ("models: x\nstimuli: x\nseeds: [a]\n", "line 3: seeds"),
        ("models: x\nstimuli: x\ncriterion: {quantile: 2}\n", "choose one of max, 0.9999"),
        ("models: x\nstimuli: x\nstimuli: y\n", "line 3: 'stimuli' is there twice"),
        ("models: []\nstimuli: x\n", "line 1: models"),
        ("models: x\nstimuli: x\nseeds: [0, 1, 0]\n", "line 3: seeds.*0 is there twice"),
        ("models: x\nstimuli: x\nobservers: [a, {source: a}]\n", "line 3: observers.*a is there twice"),
        ("preset: quik\n", "line 1: preset: no preset 'quik'; did you mean 'quick'.*feather2023-vision, quick$"),
        ("models: ${NO_SUCH_VARIABLE}\nstimuli: x\n", "line 1: models: the variable NO_SUCH_VARIABLE is not set"),
        ("models: x\nstimuli:\n  source: ${NO_SUCH}\n", "line 3: stimuli.source: the variable NO_SUCH is not set"),
        ("models: &a [*a]\nstimuli: x\n", "line 1"),
    ],
)
def test_errors_name_line_key_and_what_is_allowed(written, text, words):
    with pytest.raises(MetamersError, match=words):
        read_study(written(text))
