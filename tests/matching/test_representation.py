"""What is matched, by hand."""

import json

import pytest
import torch

from metamers.errors import MetamersError
from metamers.matching import Representation, represent

MAPS = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).view(2, 3, 2, 2) / 7
TOKENS = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
VECTOR = torch.randn(2, 6, generator=torch.Generator().manual_seed(1))
ALL = {"maps": MAPS, "tokens": TOKENS, "vector": VECTOR}


def of(stage, **options):
    return Representation((stage,), **options).of(ALL)


def own(activation):
    return activation.amax((2, 3))


def gram(activation):
    return activation


@pytest.mark.parametrize("stage", ["maps", "tokens", "vector"])
def test_activations_are_flattened(stage):
    assert torch.equal(of(stage), ALL[stage].flatten(1))


def test_spatial_mean_is_over_positions():
    assert torch.allclose(of("maps", summary="spatial_mean"), MAPS.mean((2, 3)))
    assert torch.allclose(of("tokens", summary="spatial_mean"), TOKENS.mean(1))


def test_gram_is_the_mean_product_of_channels():
    expected = torch.einsum("nchw,ndhw->ncd", MAPS, MAPS) / 4
    assert torch.allclose(of("maps", summary="gram"), expected.flatten(1))
    expected = torch.einsum("ntc,ntd->ncd", TOKENS, TOKENS) / 4
    assert torch.allclose(of("tokens", summary="gram"), expected.flatten(1), atol=1e-6)


def test_a_function_of_ones_own():
    assert torch.equal(of("maps", summary=own), MAPS.amax((2, 3)))
    assert torch.equal(of("maps", summary=lambda a: a[:, :, 0]), MAPS[:, :, 0].flatten(1))


def test_channels_and_tokens_are_chosen():
    assert torch.equal(of("maps", channels=(2, 0)), MAPS[:, [2, 0]].flatten(1))
    assert torch.equal(of("vector", channels=(5,)), VECTOR[:, [5]])
    assert torch.equal(of("tokens", channels=(1,), tokens=(3, 0)), TOKENS[:, [3, 0]][:, :, [1]].flatten(1))
    assert torch.allclose(of("maps", channels=(1,), summary="spatial_mean"), MAPS[:, [1]].mean((2, 3)))


def test_stages_together_are_weighted_and_balanced_by_size():
    both = Representation(("maps", "vector"), weights=(1.0, 3.0)).of(ALL)
    assert torch.allclose(both, torch.cat([MAPS.flatten(1) / 12**0.5, 3 * VECTOR / 6**0.5], 1))
    assert torch.equal(Representation(("maps", "vector")).of(ALL), Representation(("maps", "vector"), (1, 1)).of(ALL))


@pytest.mark.parametrize(
    ("representation", "name"),
    [
        (Representation(("a",)), "a"),
        (Representation(("a", "b")), "a+b"),
        (Representation(("a", "b"), (1.0, 2.5)), "a+2.5*b"),
        (Representation(("a",), summary="gram", channels=(1, 2), tokens=(0,)), "a.gram.channels1,2.tokens0"),
        (Representation(("a",), summary=own), "a.own"),
    ],
)
def test_names_say_what_differs(representation, name):
    assert representation.name == name


def test_json_keeps_it():
    representation = Representation(("a", "b"), (1.0, 2.0), "gram", (1,), (2, 3))
    assert Representation.from_json(json.loads(json.dumps(representation.to_json()))) == representation
    with pytest.raises(MetamersError, match="no objective 'own'"):
        Representation.from_json(Representation(("a",), summary=own).to_json())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"summary": "grams"}, "no objective 'grams'; choose one of .*; did you mean 'gram'"),
        ({"summary": gram}, "objective 'gram' has the name of one of the package's"),
        ({"weights": (1.0, 2.0)}, "2 weights for 1 stages"),
        ({"weights": (0.0,)}, "must be positive"),
        ({"weights": (float("nan"),)}, "must be positive"),
        ({"stages": ()}, "no stage to match"),
        ({"channels": ()}, "no channels to match"),
        ({"tokens": ()}, "no tokens to match"),
    ],
)
def test_bad_ones_are_refused_when_made(options, message):
    with pytest.raises(MetamersError, match=message):
        Representation(**{"stages": ("a",)} | options)


@pytest.mark.parametrize(
    ("stage", "options", "message"),
    [
        ("vector", {"summary": "spatial_mean"}, r"'spatial_mean' needs positions, but the stage has shape \[6\]"),
        ("vector", {"summary": "gram"}, "'gram' needs positions"),
        ("maps", {"channels": (3,)}, "stage 'maps' has 3 channels, so no 3; choose from 0 to 2"),
        ("maps", {"channels": (-1,)}, "so no -1"),
        ("maps", {"tokens": (0,)}, "stage 'maps' has no tokens"),
        ("tokens", {"tokens": (4,)}, "stage 'tokens' has 4 tokens, so no 4"),
        ("maps", {"summary": lambda a: a.mean()}, r"gave \[\] for 2 stimuli; it must give \[N, ...\]"),
        ("maps", {"summary": lambda a: a.mean(0)}, r"gave \[3, 2, 2\] for 2 stimuli"),
        ("maps", {"summary": lambda a: [a]}, "gave list for 2 stimuli"),
    ],
)
def test_what_does_not_fit_the_stage_is_one_line(stage, options, message):
    with pytest.raises(MetamersError, match=message):
        of(stage, **options)


def test_represent_runs_in_batches(model, make_stimuli):
    signals, representation = make_stimuli(7).read(), Representation(("conv", "output"))
    expected = representation.of(model.activations(signals, ["conv", "output"]))
    found = represent(model, signals, representation, batch_size=3)
    assert torch.allclose(found, expected, atol=1e-6)
    assert not found.requires_grad


def test_an_unknown_stage_is_told_with_the_nearest(model, make_stimuli):
    with pytest.raises(MetamersError, match="did you mean 'relu'"):
        represent(model, make_stimuli(2).read(), Representation(("rel",)))
