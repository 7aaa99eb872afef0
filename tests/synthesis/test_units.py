"""Which units are matched: drawn from the cell's seed, and nothing else is."""

import pytest
import torch
from torch import nn

from metamers.errors import MetamersError
from metamers.matching import Representation
from metamers.models import StagedModel
from metamers.models.hmax import HMAX, STAGES
from metamers.store import Cell
from metamers.synthesis import Recipe, engine, recipe_named, synthesize, units
from metamers.synthesis.engine import search
from metamers.synthesis.starts import cell_seed
from metamers.synthesis.units import Matched, Units, coarse_to_fine, matched_units, random_single, units_of

BLOCK = Representation(("block",))
SHORT = {"halve_every": 10, "steps": 30}


@pytest.fixture
def short(monkeypatch):
    """Single units in 6 of 10 steps, drawn every 2."""
    monkeypatch.setattr(units, "SINGLE_STEPS", 6)
    monkeypatch.setattr(units, "DRAW_EVERY", 2)
    return recipe_named("hmax").with_options(**SHORT)


def seeds(n):
    return [cell_seed(Cell("net", "block", "hmax", f"i{k}", 0)) for k in range(n)]


def starts_like(references):
    return 0.45 + 0.1 * torch.rand(references.shape, generator=torch.Generator().manual_seed(1))


def test_the_published_times_and_step():
    recipe = recipe_named("hmax")
    chosen = random_single(recipe, Units((1,) * 64), torch.Generator().manual_seed(0))
    blocks = [3000 * block for block in range(7)]
    assert sorted(chosen) == [b + s for b in blocks for s in (*range(0, 400, 50), 400)]
    for step, mask in chosen.items():
        assert (mask is None) == (step % 3000 == 400)
        assert mask is None or mask.sum() == 1
    drawn = [int(mask.float().argmax()) for mask in chosen.values() if mask is not None]
    assert len(drawn) == 56
    assert len(set(drawn)) > 25
    assert (recipe.step_size, recipe.schedule, recipe.halve_every, recipe.steps) == (1.0, "halving", 3000, 24_000)
    assert recipe.start_std * 255 == pytest.approx(10)


def test_one_unit_or_one_block_is_all():
    recipe = recipe_named("hmax")
    assert random_single(recipe, Units((7,)), torch.Generator()) == {0: None}
    assert random_single(recipe.with_options(steps=3000), Units((7, 7)), torch.Generator()) == {0: None}
    assert max(random_single(recipe.with_options(steps=3001), Units((7, 7)), torch.Generator())) == 400
    short = random_single(recipe.with_options(steps=60, halve_every=30), Units((7, 7)), torch.Generator())
    assert sorted(short) == [0, 30]
    assert short[30] is None


def test_filters_join_from_coarse_to_fine():
    recipe = recipe_named("spectemp", "sound")
    modulations = ((0.0, 0.0), (0.0, 2.0), (0.5, 0.5), (-1.0, 0.125), (8.0, 0.0), (64.0, 2.0), (-64.0, 1.0))
    chosen = coarse_to_fine(recipe, Units((3,) * 7, modulations), torch.Generator())
    assert sorted(chosen) == [b + s for b in range(0, 21_000, 3000) for s in range(0, 2800, 400)] + [21_000]
    masks = [mask for step, mask in sorted(chosen.items()) if step < 3000 and mask is not None]
    kept = [[i for i, one in enumerate(mask.tolist()) if one] for mask in masks]
    assert kept == [[0, 1, 4], [0, 1, 2, 4], [0, 1, 2, 3, 4], *[[0, 1, 2, 3, 4]] * 2, [0, 1, 2, 3, 4, 6], [*range(7)]]
    assert chosen[21_000] is None
    assert coarse_to_fine(recipe, Units((3,) * 7), torch.Generator()) == {0: None}


def published_loop(net, reference, start, recipe, mask_at):
    """The published objective, one image at a time: only the drawn channel, against its own norm."""
    with torch.no_grad():
        goal = net.block.conv(reference[None]).clamp(min=0)
    x = start[None].clone()
    kept = None
    for step in range(recipe.steps):
        kept = mask_at.get(step, kept)
        x = x.clone().requires_grad_(True)
        found = net.block.conv(x)
        found = found + (found.clamp(min=0) - found).detach()  # the identity gradient
        a, b = (found, goal) if kept is None else (found[:, kept], goal[:, kept])
        (g,) = torch.autograd.grad((a - b).norm() / b.norm(), x)
        length = recipe.step_size / 2 ** (step // recipe.halve_every)
        x = torch.clamp(x.detach() - length * g / (g.norm() + 1e-10), 0, 1)
    return x[0]


def test_the_recipe_is_the_published_loop(make_model, make_stimuli, short):
    model, references = make_model(), make_stimuli(3).read()
    model.network.block.conv.bias.data.fill_(0.4)  # no channel is silent: against its own norm it has no loss
    starts = starts_like(references)
    found = search(model, BLOCK, references, starts, short, seeds=seeds(len(starts)))
    whole = search(model, BLOCK, references, starts, short.with_options(units="all"))
    for i, seed in enumerate(seeds(3)):
        chosen = random_single(short, Units((100,) * 6), torch.Generator().manual_seed(~seed))
        assert sorted(chosen) == [0, 2, 4, 6, 10, 12, 14, 16]
        mask_at = {step: None if mask is None else mask.nonzero()[0] for step, mask in chosen.items()}
        expected = published_loop(model.network, references[i], starts[i], short, mask_at)
        assert torch.allclose(found.raw[i], expected, atol=1e-4)
        assert not torch.allclose(found.raw[i], whole.raw[i], atol=1e-2)


def test_a_cell_draws_the_same_alone_in_a_batch_and_in_another_place(make_model, make_stimuli, short):
    model, references = make_model(), make_stimuli(3).read()
    starts = starts_like(references)

    def run(rows):
        of_rows = [seeds(3)[row] for row in rows]
        return search(model, BLOCK, references[rows], starts[rows], short, seeds=of_rows).raw

    together, turned = run([0, 1, 2]), run([2, 1, 0])
    assert torch.allclose(together, turned.flip(0), atol=1e-4)
    assert torch.allclose(run([1])[0], together[1], atol=1e-4)


def test_cells_draw_their_own(make_model, make_stimuli):
    references = make_stimuli(1).read()
    matched = matched_units(make_model(), BLOCK, recipe_named("hmax"), references, seeds(40))
    assert matched is not None
    first = matched.by_step[0]
    assert first is not None
    assert first.shape == (40, 6)
    assert (first.sum(1) == 1).all()
    assert (first.sum(0) > 0).all()


def test_batches_that_are_halved_and_stimuli_that_leave_keep_their_units(make_model, make_stimuli, short, monkeypatch):
    model, references = make_model(), make_stimuli(4).read()
    starts = starts_like(references)
    whole = search(model, BLOCK, references, starts, short, seeds=seeds(len(starts))).raw

    first = BLOCK.of(model.activations(references[:1], ["block"]))[0]
    monkeypatch.setattr(engine, "_problem", lambda target: "none" if torch.allclose(target, first, atol=1e-5) else None)
    left = search(model, BLOCK, references, starts, short, seeds=seeds(len(starts)))
    assert left.problems == ["none", None, None, None]
    assert torch.allclose(left.raw[1:], whole[1:], atol=1e-4)
    monkeypatch.setattr(engine, "_problem", lambda target: None)

    plain = model.activations

    def full(x, stages, precision="float32"):
        if len(x) > 2:
            raise RuntimeError("out of memory")
        return plain(x, stages, precision)

    monkeypatch.setattr(model, "activations", full)
    halved = search(model, BLOCK, references, starts, short, seeds=seeds(len(starts)))
    assert torch.allclose(halved.raw, whole, atol=1e-4)


def test_stimuli_that_stop_early_leave_the_others_their_units(make_model, make_stimuli, short, monkeypatch):
    model, references = make_model(), make_stimuli(3).read()
    starts = starts_like(references)
    early = short.with_options(early_stop=True)
    monkeypatch.setattr(engine, "CHECK_EVERY", 1)
    monkeypatch.setattr(engine, "has_stalled", lambda trace: False)
    monkeypatch.setattr(engine, "has_settled", lambda trace: trace.step[-1] >= 3)
    found = search(model, BLOCK, references, starts, early, lambda rows, signals: rows == 0, seeds=seeds(len(starts)))
    assert found.n_steps == [3, 30, 30]
    whole = search(model, BLOCK, references, starts, short, seeds=seeds(len(starts)))
    assert torch.allclose(found.raw[1:], whole.raw[1:], atol=1e-4)


def test_the_trace_is_of_all_units(make_model, make_stimuli, short):
    model, references = make_model(), make_stimuli(2).read()
    starts = starts_like(references)
    found = search(model, BLOCK, references, starts, short, seeds=seeds(len(starts)))
    activations = [BLOCK.of(model.activations(x, ["block"])) for x in (references, starts)]
    expected = (activations[1] - activations[0]).norm(dim=1) / activations[0].norm(dim=1)
    assert [trace.loss[0] for trace in found.traces] == pytest.approx(expected.tolist(), rel=1e-4)


@pytest.mark.parametrize("sizes", [(2, 2, 2), (1, 2, 3)])
def test_the_norm_is_of_the_chosen_units_alone(sizes):
    difference = torch.randn(2, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    chosen = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    columns = torch.cat([chosen[:, [u]].expand(-1, size) for u, size in enumerate(sizes)], 1)
    found = Matched(sizes, {}).norm(difference, chosen)
    torch.testing.assert_close(found, (difference * columns).norm(dim=1))
    (gradient,) = torch.autograd.grad(found.sum(), difference)
    assert (gradient[columns == 0] == 0).all()
    assert torch.isfinite(
        torch.autograd.grad(Matched(sizes, {}).norm(difference * 0, chosen).sum(), difference)[0]
    ).all()


def test_units_are_channels_tokens_or_what_the_module_says(make_model, make_stimuli):
    references = make_stimuli(1).read()

    def sizes(model, stage, reference):
        return units_of(model, stage, reference).sizes

    model = make_model()
    assert sizes(model, "block", references) == (100,) * 6
    assert sizes(model, "input", references) == (144,) * 3
    assert sizes(model, "output", references) == (5,)
    random = torch.Generator().manual_seed(0)
    patches = {size: torch.rand(3, 4, size, size, generator=random) for size in (2, 4)}
    hmax = StagedModel(HMAX(patches), input_size=48, channels=1, stages=STAGES)
    gray = torch.rand(1, 1, 48, 48)
    assert sizes(hmax, "s1", gray) == (48 * 48,) * 64
    sides = [48 // (pool // 2) + 1 for pool in range(8, 23, 2)]
    assert sizes(hmax, "c1", gray) == tuple(4 * side**2 for side in sides)
    assert sizes(hmax, "s2", gray) == (3 * sum((side + 1) ** 2 for side in sides),) * 2
    assert sizes(hmax, "c2", gray) == (3, 3)


@pytest.mark.parametrize("options", [{"stages": ("block", "conv2")}, {"summary": "gram"}, {"channels": (0, 1)}])
def test_what_has_no_units_is_refused(make_model, make_stimuli, options):
    representation = Representation(**{"stages": ("block",), **options})
    with pytest.raises(MetamersError, match="recipe 'hmax' matches single units, of one stage as it is, not of "):
        matched_units(make_model(), representation, recipe_named("hmax"), make_stimuli(1).read(), [0])
    assert matched_units(make_model(), representation, recipe_named("fast"), make_stimuli(1).read(), [0]) is None


@pytest.mark.parametrize("options", [{"keep_best": True}, {"optimizer": "lbfgs"}])
def test_recipes_that_compare_losses_match_all_units(options):
    with pytest.raises(MetamersError, match="compares losses from step to step, which units 'random_single' changes"):
        recipe_named("hmax").with_options(**options)
    with pytest.raises(MetamersError, match="recipe units 'random': choose one of all, random_single"):
        Recipe("own", units="random")


def test_metamers_of_hmax(make_stimuli):
    torch.manual_seed(0)
    network = HMAX({2: torch.rand(4, 4, 2, 2), 4: torch.rand(4, 4, 4, 4)}, classes=3)
    model = StagedModel(network, name="hmax", input_size=40, channels=1, stages=STAGES)
    stimuli = make_stimuli(2, size=40)
    for stage in ("c1", "c2"):
        result = synthesize(model, stimuli, stage, recipe="hmax", steps=20, halve_every=10)
        assert result.signals.shape == (2, 1, 40, 40)
        for cell in result.cells:
            assert cell["trace"]["loss"][-1] < cell["trace"]["loss"][0]


def test_a_module_gives_its_stage(make_model):
    model = make_model()
    assert model.module("block") is model.network.block
    assert model.module("output") is model.network
    assert model.module("input") is None
    with pytest.raises(MetamersError, match="no stage 'blok'; did you mean 'block'"):
        model.module("blok")
    assert isinstance(model.module("conv2"), nn.Conv2d)
