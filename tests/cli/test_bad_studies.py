"""Study files that are refused: where the mistake is, and what is allowed."""

from pathlib import Path

import pytest
import yaml


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("stages=[nowhere]", "no stage 'nowhere'"),
        ("models.0.stages=x", "models"),
        ("models=[nets.py:net,nets.py:net]", "two models are named 'net'"),
        ("recipes=[fast,fast]", "each once"),
        ("recipes=slow", "no recipe 'slow'"),
        ("observers=nets.py:features", "makes no decision"),
        ("criterion.quantile=3", "choose one of max"),
        ("recipes={name: fast, set: {name: mine}}", "leave name out of set"),
        ("preset=quik", "no preset 'quik'"),
    ],
)
def test_bad_studies_are_refused_before_any_work(cli, study, change, words):
    plain = yaml.safe_load(Path(study).read_text()) | {"models": ["nets.py:net"], "observers": []}
    Path(study).write_text(yaml.safe_dump(plain))
    ended = cli("run", study, "--out", "run", "--set", change)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err and ended.err.count("\n") == 1
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("stages: ['1']", "stages: ['1', nowhere]", "study.yaml, line 2: models.0.stages: model 'net' has no stage"),
        ("stages: ['1']", "stages: 'x*'", "study.yaml, line 2: models.0.stages: model 'net' has no stage 'x*'; `meta"),
        ("nets.py:net", "nets.py:nett", "study.yaml, line 1: models.0: "),
        ("nets.py:features", "nets.py:net", "study.yaml, line 3: models.1: two models are named 'net'"),
        ("stages: all", "stages: nowhere", "study.yaml, line 4: stages: model 'features' has no stage 'nowhere'"),
        ("STIMULI", "nothing", "study.yaml, line 5: stimuli: "),
        ("null.npz", "nothing.npz", "study.yaml, line 6: null_stimuli: "),
        ("fast}", "slow}", "study.yaml, line 7: recipes.0: no recipe 'slow'"),
        ("picto-resnet", "picto", "study.yaml, line 8: observers.0: no bundled model 'picto'"),
        ("bundled:picto-resnet", "{source: nets.py:net, labels: imagenet16}", "line 8: observers.0: model 'net' has 4"),
        (
            "picto-resnet",
            "picto-resnet, nets.py:features",
            "study.yaml, line 8: observers.1: observer 'features' makes",
        ),
    ],
)
def test_errors_name_the_line_of_what_cannot_be_had(cli, images, null_npz, old, new, words):
    text = (
        "models: [{source: 'nets.py:net',\n    stages: ['1']},\n  nets.py:features]\nstages: all\nstimuli: STIMULI\n"
        "null_stimuli: null.npz\nrecipes: {name: fast}\nobservers: [bundled:picto-resnet]\n"
    )
    Path("study.yaml").write_text(text.replace(old, new).replace("STIMULI", str(images)))
    ended = cli("run", "study.yaml", "--out", "run")
    assert ended.code == 2 and words in ended.err and ended.err.count("\n") == 1
    assert not Path("run").exists()


def test_a_changed_value_has_no_line(cli, study):
    refused = cli("run", study, "--out", "run", "--set", "observers=[]", "recipes=slow").err
    assert "study.yaml with --set: recipes.0: no recipe 'slow'" in refused
    for change, words in (
        ("seeds=[a]", "study.yaml with --set: seeds.0 'a'"),
        ("controls=nothing", "study.yaml with --set: controls.0 'nothing'"),  # which the file does not have
        ("stimuli.source=nowhere", "study.yaml with --set: stimuli: "),
        ("device=gpu", "study.yaml with --set: device: no device 'gpu'"),
        ("preset=quik", "study.yaml with --set: preset: no preset 'quik'"),
        ("models.0.stages=nowhere", "study.yaml with --set: models.0.stages: model 'net' has no stage"),
        ("recipes.1.name=slow", "study.yaml with --set: recipes.1: no recipe 'slow'"),
        ("models.5.stages=nowhere", "'models' has the entries 0 to 1, so 'models.5.stages' cannot be set"),
        ("criterion.0.quantile=1", "study.yaml with --set: 'criterion' is no list here, so 'criterion.0.quantile' can"),
    ):
        refused = cli("run", study, "--out", "run", "--set", "observers=[]", change)
        assert refused.code == 2 and words in refused.err and refused.err.count("\n") == 1
