"""From references to judged metamers: `synthesize` as it is called."""

from typing import Any

import pytest
import torch
from torch import nn

import metamers
from metamers.errors import MetamersError
from metamers.matching import AboveNull, Criterion, Representation, SameDecision, judge, match, null_distribution
from metamers.matching.criterion import PUBLISHED
from metamers.models import StagedModel
from metamers.stimuli import SoundSet, StimulusSet, encode_png, write_png
from metamers.stimuli.images import read_image
from metamers.stimuli.written import as_written
from metamers.store import Cell
from metamers.synthesis import Recipe
from metamers.synthesis.metamers import start_signals

synthesize: Any = metamers.synthesize
SHORT = {"steps": 60}


@pytest.fixture
def null_stimuli(make_stimuli):
    return make_stimuli(60, seed=99, name="null")


STAGES = ("conv1", "relu", "layer1", "layer2", "layer3", "layer4", "avgpool", "output")


@pytest.fixture(scope="module")
def trained():
    model, images = metamers.load_model("bundled:picto-resnet"), metamers.load_stimuli("bundled:pictograms?n=103")
    assert model.stages == STAGES
    return model, images[:3], images[3:]


@pytest.mark.parametrize("stage", STAGES)
def test_metamers_match_their_own_reference_and_no_other(trained, stage):
    """By the measures alone, at the null's maximum: start noise and metamers of other references fail."""
    model, images, null_images = trained
    null = null_distribution(model, Representation((stage,)), null_images)
    result = synthesize(model, images, stage, null=null, criterion=AboveNull(), steps=300)

    def verdicts(signals):
        found = match(model, Representation((stage,)), images.read(), signals)
        return [judgement.verdict for judgement in judge(found, AboveNull(), null)]

    assert verdicts(result.signals) == list(result.matches.verdict) == ["passed"] * 3
    for shift in (1, 2):
        assert verdicts(result.signals.roll(shift, 0)) == ["failed"] * 3
    cells = [Cell(model.name, stage, "fast", id_, 0) for id_ in images.ids]
    assert (
        verdicts(as_written(start_signals(Recipe("fast"), cells, (3, 64, 64), None, kind="image"), "image"))
        == ["failed"] * 3
    )


def test_the_table_says_what_was_done(make_model, make_stimuli, null_stimuli):
    stimuli = make_stimuli(3).with_labels(["cat", None, "dog"])
    result = synthesize(make_model(), stimuli, "block", null=null_stimuli, seed=5, **SHORT)
    table = result.matches
    assert list(table.reference) == list(stimuli.ids)
    assert list(table.seed) == [5] * 3
    assert set(table.model) == {"net"}
    assert set(table.stage) == {"block"}
    assert table.cell.nunique() == 3
    assert list(table.label.fillna("")) == ["cat", "", "dog"]
    assert set(table.null_n_images) == {60}
    assert set(table.null_n_pairs) == {60 * 59 // 2}
    assert (table.null_snr_db == result.null.quantile("snr_db")).all()
    assert (table.n_steps <= 60).all()
    assert result.signals.shape == result.raw.shape == (3, 3, 12, 12)
    assert result.signals.min() >= 0
    assert result.signals.max() <= 1
    for cell, trace in ((cell, cell["trace"]) for cell in result.cells):
        assert trace["step"][0] == 0
        assert trace["step"][-1] == cell["n_steps"]
        assert len(trace["step"]) == len(trace["loss"]) == len(trace["snr_db"])


def test_signals_are_what_the_written_file_decodes_to(make_model, make_stimuli, tmp_path):
    result = synthesize(make_model(), make_stimuli(2), "block", **SHORT)
    for signal, raw in zip(result.signals, result.raw, strict=True):
        write_png(tmp_path / "a.png", raw)
        decoded = torch.from_numpy(read_image(tmp_path / "a.png")).permute(2, 0, 1).float() / 255
        assert torch.equal(signal, decoded)
        assert encode_png(signal) == encode_png(raw)
    assert (result.signals - result.raw).abs().max() <= 0.5 / 255 + 1e-6
    assert not torch.equal(result.signals, result.raw)


class Sensitive(nn.Module):
    """Sees what lies between the steps of 8 bits: has a period of 1/2.5 of a step."""

    def forward(self, x):
        return torch.sin(2 * torch.pi * 2.5 * 255 * x.flatten(1))


def test_rounding_that_breaks_a_match_is_caught(make_stimuli, monkeypatch):
    model = StagedModel(Sensitive(), name="sensitive", input_size=12)
    representation = Representation(("output",))
    # References cannot be seen as written (all on the grid, where the sine is 0): they are shifted by 1/10 of a step.
    pixels = make_stimuli(62, seed=3).read()
    offsets = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(0)) / 255 * 0.8 - 0.4 / 255
    off_grid = (pixels.clamp(0.1, 0.9) + offsets).clamp(0, 1)
    monkeypatch.setattr(StimulusSet, "read", lambda self, i=None: off_grid[: len(self)] if i is None else off_grid[i])
    null = null_distribution(model, representation, make_stimuli(60, seed=3))
    references = make_stimuli(2, seed=3)
    result = synthesize(model, references, "output", null=null, start=references, criterion=AboveNull(), steps=1)
    raw = judge(match(model, representation, off_grid[:2], result.raw), AboveNull(), null)
    assert [j.verdict for j in raw] == ["passed"] * 2
    assert list(result.matches.verdict) != ["passed"] * 2
    assert "passed" not in set(result.matches.verdict)


def test_below_200_images_of_its_own_or_50_given_there_is_no_null(make_model, make_stimuli):
    model, short = make_model(), {"steps": 1}
    few = make_stimuli(2)
    assert set(synthesize(model, few, "block", **short).matches.verdict) == {"no null"}
    assert set(synthesize(model, few, "block", null=make_stimuli(49, 7), **short).matches.verdict) == {"no null"}
    result = synthesize(model, few, "block", null=make_stimuli(50, 7), **short)
    assert "no null" not in set(result.matches.verdict)
    assert result.null.n_images == 50
    repeated = StimulusSet.from_arrays([make_stimuli(49, 7).pixels(i % 49) for i in range(60)])
    assert set(synthesize(model, few, "block", null=repeated, **short).matches.verdict) == {"no null"}
    assert synthesize(model, make_stimuli(199), "block", batch_size=200, **short).null is None
    assert synthesize(model, make_stimuli(200), "block", batch_size=200, **short).null.n_images == 200


def test_a_null_that_is_given_is_taken_if_it_is_of_the_same(make_model, make_stimuli, null_stimuli):
    model = make_model()
    null = null_distribution(model, Representation(("block",)), null_stimuli)
    assert synthesize(model, make_stimuli(2), "block", null=null, steps=1).null is null
    with pytest.raises(MetamersError, match="the null distribution is of net block, not of net conv2"):
        synthesize(model, make_stimuli(2), "conv2", null=null, steps=1)
    with pytest.raises(MetamersError, match="of another net: its weights differ"):
        synthesize(make_model(seed=1), make_stimuli(2), "block", null=null, steps=1)


def test_seeds_differ_and_repeat(make_model, make_stimuli):
    a, b, c = (synthesize(make_model(), make_stimuli(2), "block", seed=seed, **SHORT).raw for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert (a - c).abs().max() > 0.01
    assert (a[0] - a[1]).abs().max() > 0.01


def test_stages_start_from_different_noise(make_model, make_stimuli):
    a, b = (synthesize(make_model(), make_stimuli(1), s, steps=1, step_size=1e-6).raw for s in ("block", "conv2"))
    assert not torch.allclose(a, b, atol=0.01)


def test_the_batch_size_changes_no_verdict(make_model, make_stimuli, null_stimuli):
    a, b = (
        synthesize(make_model(), make_stimuli(5), "block", null=null_stimuli, batch_size=n, steps=20) for n in (1, 5)
    )
    assert torch.allclose(a.raw, b.raw, atol=1e-3)
    assert list(a.matches.verdict) == list(b.matches.verdict)


def test_given_starts_are_where_it_starts(make_model, make_stimuli):
    start = make_stimuli(3, seed=4)
    options = {"optimizer": "normalized_gradient", "step_size": 1e-7, "steps": 1}
    result = synthesize(make_model(), make_stimuli(3), "block", start=start, batch_size=2, **options)
    assert torch.allclose(result.raw, start.read(), atol=1e-5)
    with pytest.raises(MetamersError, match="4 start stimuli for 3 references"):
        synthesize(make_model(), make_stimuli(3), "block", start=make_stimuli(4), batch_size=2)


def test_several_stages_at_once(make_model, make_stimuli):
    model, stimuli = make_model(), make_stimuli(2)
    shallow, deep = (synthesize(model, stimuli, ["block", "fc"], stage_weights=w, **SHORT) for w in ([50, 1], [1, 50]))
    assert set(shallow.matches.stage) == {"50*block+fc"}
    assert set(deep.matches.stage) == {"block+50*fc"}

    def error(result, stage):
        a, b = (model.activations(x, [stage])[stage].flatten(1) for x in (stimuli.read(), result.raw))
        return ((a - b).norm() / a.norm()).item()

    assert error(shallow, "block") < error(deep, "block") < 0.7
    assert error(deep, "fc") < 0.01


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"objective": "spatial_mean"}, lambda a: a.mean((2, 3))),
        ({"objective": "gram"}, lambda a: torch.einsum("nchw,ndhw->ncd", a, a)),
        ({"objective": lambda a: a[:, :, ::2]}, lambda a: a[:, :, ::2]),
        ({"channels": [1, 4]}, lambda a: a[:, [1, 4]]),
    ],
    ids=["spatial mean", "gram", "callable", "channels"],
)
def test_objectives_match_what_they_name_and_leave_the_rest_free(make_model, make_stimuli, options, what):
    model, stimuli = make_model(), make_stimuli(2)
    result = synthesize(model, stimuli, "block", steps=400, early_stop=False, **options)
    a, b = (model.activations(x, ["block"])["block"] for x in (stimuli.read(), result.raw))
    named = ((what(a) - what(b)).norm() / what(a).norm()).item()
    assert named < 0.05
    assert ((a - b).norm() / a.norm()).item() > 3 * named
    assert result.matches.cell.nunique() == 2


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 6, 4, stride=4)
        self.mix = nn.Linear(6, 6)

    def forward(self, x):
        return self.mix(self.embed(x).flatten(2).transpose(1, 2))


def test_chosen_tokens(make_model, make_stimuli):
    model, stimuli = make_model(Tokens), make_stimuli(2)
    result = synthesize(model, stimuli, "mix", tokens=[4], channels=[0, 2, 3], steps=100)
    difference = (result.raw - stimuli.read()).abs()
    a, b = (model.activations(x, ["mix"])["mix"] for x in (stimuli.read(), result.raw))
    assert torch.allclose(a[:, 4, [0, 2, 3]], b[:, 4, [0, 2, 3]], atol=0.02)
    assert (a - b).abs()[:, 0].max() > 0.1
    assert difference[:, :, :4, :4].mean() > 0.1


def test_an_error_does_not_stop_the_others(make_model, make_stimuli, with_hole):
    stimuli = make_stimuli(4).read().clamp(max=0.8)
    stimuli[2, 0, 0, 0] = 1.0
    result = synthesize(make_model(with_hole(0.0)), StimulusSet.from_tensor(stimuli), "output", **SHORT)
    assert list(result.matches.verdict) == ["no null", "no null", "error", "no null"]
    assert result.matches.reason[2] == "the reference's activation is all zero: no match is defined"
    assert result.cells[2]["n_steps"] == 0


def test_a_missing_relu_is_said(make_model, make_stimuli):
    null = make_stimuli(50, seed=1)
    assert synthesize(make_model(), make_stimuli(1), "block", steps=1, null=null).notes == ()
    (note,) = synthesize(make_model(), make_stimuli(1), "fc", steps=1, null=null, relu_gradient="identity").notes
    assert "does not end in a ReLU" in note


def test_start_is_a_kind_of_noise_or_signals(make_model, make_stimuli):
    model, stimuli = make_model(), make_stimuli(1)
    plain, pink, given = (
        synthesize(model, stimuli, "block", steps=1, **start) for start in ({}, {"start": "pink"}, {"start": stimuli})
    )
    assert not torch.equal(plain.raw, pink.raw)
    assert given.matches.snr_db[0] > pink.matches.snr_db[0]


def test_a_missing_null_is_said(make_model, make_stimuli):
    (note,) = synthesize(make_model(), make_stimuli(1), "block", steps=1, null=make_stimuli(49, seed=1)).notes
    assert note == "no null distribution: give null= with 50 different stimuli, or make 200 at once"


def test_compiling_and_layout_are_passed_on(make_model, make_stimuli, monkeypatch):
    compiled = []

    def compiling(function):
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compiling)
    blocks = [nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU()) for _ in range(4)]
    model, stimuli = make_model(nn.Sequential(*blocks)), make_stimuli(3)
    plain = synthesize(model, stimuli, "3", steps=3, name="same")
    other = synthesize(model, stimuli, "3", steps=3, name="same", compile=True, channels_last=True, batch_size=1)
    assert compiled
    assert len(set(map(id, compiled))) == len(compiled) <= 4  # once for all batches
    assert torch.allclose(plain.raw, other.raw, atol=1e-4)


def test_progress_is_told(make_model, make_stimuli):
    told = []
    synthesize(make_model(), make_stimuli(3), "block", steps=60, batch_size=2, progress=lambda *a: told.append(a))
    assert told == [(0, 60, 2), (50, 60, 2), (60, 60, 2), (0, 60, 1), (50, 60, 1), (60, 60, 1)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage": "blok"}, "'blok'.*did you mean 'block'"),
        ({"stage": []}, "no stage to match"),
        ({"recipe": "fats"}, "no recipe 'fats' for images; .*did you mean 'fast'"),
        ({"stepss": 3}, "no recipe option 'stepss'; did you mean 'steps'"),
        ({"objective": "gramm"}, "no objective 'gramm'; .*did you mean 'gram'"),
        ({"stage": "fc", "objective": "gram"}, "'gram' needs positions"),
        ({"stage_weights": [1, 2]}, "2 weights for 1 stages"),
        ({"channels": [99]}, "stage 'block' has 6 channels, so no 99"),
        ({"steps": 0}, "recipe steps 0 must be above 0"),
        ({"criterion": Criterion()}, "criterion 'none' leaves nothing to hold"),
    ],
)
def test_bad_input_is_one_line_before_any_work(make_model, make_stimuli, options, message):
    told = []
    with pytest.raises(MetamersError, match=message) as caught:
        synthesize(make_model(), make_stimuli(2), progress=lambda *a: told.append(a), **{"stage": "block", **options})
    assert "\n" not in str(caught.value)
    assert told == []


def test_the_decision_alone_is_no_criterion_for_a_model_without_one(make_model, make_stimuli):
    with pytest.raises(MetamersError, match="leaves nothing to hold"):
        synthesize(make_model(Tokens), make_stimuli(2), "mix", criterion=SameDecision(), steps=1)
    result = synthesize(make_model(), make_stimuli(2), "output", criterion=SameDecision(), steps=60)
    assert set(result.matches.verdict) == {"passed"}
    assert PUBLISHED.same_decision


def test_no_stimuli_is_one_line(make_model, make_stimuli):
    with pytest.raises(MetamersError, match="no stimuli"):
        synthesize(make_model(), make_stimuli(2)[:0], "block")


def test_the_null_is_of_sounds_as_they_are_played():
    def sounds(n, seed, level):
        noise = level * torch.rand(n, 400, generator=torch.Generator().manual_seed(seed))
        return SoundSet.from_waveforms(noise, 8000, name=f"sounds{seed}")

    model = StagedModel(nn.Sequential(nn.Flatten(1)), kind="sound", sample_rate=8000, input_size=(1, 400))
    given = sounds(60, 1, 0.9)
    found = [
        synthesize(model, sounds(2, 0, 0.9), "0", null=null, steps=1, criterion=AboveNull()).matches
        for null in (given, given.as_played())
    ]
    assert (found[0].null_snr_db == found[1].null_snr_db).all()
