"""The published recipe, step by step, against a plain transcription of METHOD.md, one image at a time."""

import math

import pytest
import torch
from torch.nn import functional as F

from metamers.matching import Representation
from metamers.synthesis import recipe_named
from metamers.synthesis.engine import schedule, search


class FakeReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def published_loop(representation, reference, start, blocks, steps_of_a_block, first_step):
    """x <- clamp(x - step g / (||g|| + 1e-10)) with the step halved after each block; every iterate."""
    with torch.no_grad():
        goal = representation(reference[None])
    x, path = start[None].clone(), []
    for block in range(blocks):
        step = first_step / 2**block
        for _ in range(steps_of_a_block):
            x = x.clone().requires_grad_(True)
            loss = torch.norm(representation(x) - goal) / torch.norm(goal)
            (g,) = torch.autograd.grad(loss, x)
            x = torch.clamp(x.detach() - step * g / (torch.norm(g) + 1e-10), 0, 1)
            path.append(x[0])
    return path


def block_by_hand(net, end):
    conv = net.block.conv
    return {
        "module": lambda x: FakeReLU.apply(conv(x)),
        "functional": lambda x: FakeReLU.apply(conv(x)),
        "in place": lambda x: FakeReLU.apply(conv(x)),
        "none": conv,
    }[end]


@pytest.mark.parametrize("end", ["module", "functional", "in place", "none"])
def test_the_recipe_is_the_published_loop(make_model, make_stimuli, end):
    model, references = make_model(end=end), make_stimuli(2).read()
    starts = torch.rand(references.shape, generator=torch.Generator().manual_seed(1)) * 0.1 + 0.45
    expected = published_loop(block_by_hand(model.network, end), references[0], starts[0], 3, 7, 1.0)
    for steps in (1, 8, 21):
        recipe = recipe_named("feather2023").with_options(halve_every=7, steps=steps)
        found = search(model, Representation(("block",)), references, starts, recipe)
        assert found.n_steps == [steps, steps]
        assert torch.allclose(found.raw[0], expected[steps - 1], atol=1e-4)
        assert found.relus_passed == (0 if end == "none" else 1)


def test_relus_before_the_stage_keep_their_gradient(make_model, make_stimuli):
    model, references = make_model(), make_stimuli(1).read()
    net = model.network
    starts = torch.rand(references.shape, generator=torch.Generator().manual_seed(1)) * 0.1 + 0.45

    def by_hand(x):
        return net.conv2(F.relu(net.block.conv(x)))

    (expected,) = published_loop(by_hand, references[0], starts[0], 1, 10, 1.0)[-1:]
    recipe = recipe_named("feather2023").with_options(steps=10)
    found = search(model, Representation(("conv2",)), references, starts, recipe)
    assert torch.allclose(found.raw[0], expected, atol=1e-4)


def test_the_identity_gradient_makes_a_difference(make_model, make_stimuli):
    model, references = make_model(), make_stimuli(1).read()
    starts = torch.full_like(references, 0.5)
    recipe = recipe_named("feather2023").with_options(steps=1)
    a = search(model, Representation(("block",)), references, starts, recipe).raw
    b = search(model, Representation(("block",)), references, starts, recipe.with_options(relu_gradient="true")).raw
    assert not torch.allclose(a, b, atol=1e-3)


def test_the_scaled_step_is_in_proportion_to_the_root_of_the_number_of_values(make_model, make_stimuli):
    model, references = make_model(), make_stimuli(1).read()
    starts = torch.full_like(references, 0.5)
    recipe = recipe_named("feather2023-scaled").with_options(steps=1)
    found = search(model, Representation(("block",)), references, starts, recipe)
    expected = math.sqrt(3 * 12 * 12 / (224 * 224 * 3))
    assert torch.linalg.vector_norm(found.raw - starts).item() == pytest.approx(expected, rel=1e-4)


def test_the_schedule_is_eight_blocks_of_3000_from_1_to_1_128th():
    recipe = recipe_named("feather2023")
    lengths = [recipe.step_size * schedule(recipe, step) for step in range(recipe.steps)]
    assert lengths == [1 / 2**block for block in range(8) for _ in range(3000)]
    assert (recipe.start, recipe.start_std, recipe.keep_best, recipe.early_stop) == ("noise", 0.05, False, False)


@pytest.mark.parametrize("name", ["feather2023", "feather2023-scaled"])
def test_the_last_iterate_is_kept_even_where_it_is_worse(make_model, make_stimuli, name):
    model, references = make_model(), make_stimuli(1).read()
    recipe = recipe_named(name).with_options(steps=1, step_size=20.0, scale_step=False)
    found = search(model, Representation(("block",)), references, references.clone() * 0.99, recipe)
    assert found.traces[0].loss[-1] > found.traces[0].loss[0]
    assert not torch.equal(found.raw, references * 0.99)
