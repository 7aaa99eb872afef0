"""The engine: stimuli of a batch are strangers to each other, and nothing that goes wrong with one stops the others."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import nn

from metamers.errors import MetamersError
from metamers.matching import Representation, is_out_of_memory
from metamers.models import StagedModel
from metamers.stimuli.playing import LOUDEST_RMS, as_played
from metamers.synthesis import Recipe, recipe_named
from metamers.synthesis import engine as engine_module
from metamers.synthesis.engine import Trace, has_settled, has_stalled, schedule, search
from metamers.synthesis.optimizers import LBFGS
from metamers.synthesis.penalties import total_variation

BLOCK = Representation(("block",))
OPTIMIZERS = ["normalized_gradient", "adam", "lbfgs"]


def starts_like(references, seed=1):
    return 0.45 + 0.1 * torch.rand(references.shape, generator=torch.Generator().manual_seed(seed))


def plain(optimizer="adam", steps=20, **options):
    defaults: dict[str, Any] = {"schedule": "constant", "early_stop": False, "keep_best": False}
    return Recipe("test", optimizer=optimizer, steps=steps, **defaults | options)


@pytest.fixture
def often(monkeypatch):
    """Look at the losses at every step, and let nothing stall."""
    monkeypatch.setattr(engine_module, "CHECK_EVERY", 1)
    monkeypatch.setattr(engine_module, "has_stalled", lambda trace: False)
    return monkeypatch


def test_sounds_are_heard_judged_and_given_as_they_are_played(often):
    torch.manual_seed(0)
    heard = []

    class Ear(nn.Linear):
        def forward(self, x):
            heard.append(x.detach())
            return super().forward(x)

    model = StagedModel(nn.Sequential(Ear(400, 20)), kind="sound", sample_rate=8000, input_size=(1, 400))
    references = as_played(0.2 * torch.randn(2, 400), 8000)
    judged = []

    def is_metamer(rows, signals):
        judged.append(signals)
        return rows < 2

    often.setattr(engine_module, "has_settled", lambda trace: len(trace.step) == 9)
    recipe = plain("lbfgs", early_stop=True)
    model.describe()  # which has it hear noise
    heard.clear()
    found = search(model, Representation(("0",)), references, torch.rand(2, 400), recipe, is_metamer, rate=8000)
    assert found.n_steps == [8, 8]
    for signals in (*heard, *judged, found.raw):
        assert not signals[:, [0, -1]].any()
        assert (signals.square().mean(1).sqrt() < LOUDEST_RMS + 1e-6).all()
    assert torch.equal(judged[-1], found.raw)


@pytest.mark.parametrize("recipe", ["fast", "feather2023", "feather2023-scaled"])
def test_a_batch_is_the_same_as_each_alone(make_model, make_stimuli, recipe):
    model, references = make_model(), make_stimuli(4).read()
    starts = starts_like(references)
    recipe = recipe_named(recipe).with_options(steps=20, keep_best=False)
    together = search(model, BLOCK, references, starts, recipe)
    for i in range(4):
        alone = search(model, BLOCK, references[[i]], starts[[i]], recipe)
        assert torch.allclose(together.raw[i], alone.raw[0], atol=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("keep_best", [True, False])
def test_a_stimulus_that_leaves_changes_no_other(make_model, make_stimuli, often, optimizer, keep_best):
    model, references = make_model(), make_stimuli(3).read()
    starts = starts_like(references)
    recipe = plain(optimizer, keep_best=keep_best, step_size=0.01, early_stop=True)

    often.setattr(engine_module, "has_settled", lambda trace: trace.step[-1] >= 7)
    leaving = search(model, BLOCK, references, starts, recipe, lambda rows, signals: rows == 0)
    staying = search(model, BLOCK, references, starts, recipe, lambda rows, signals: rows < 0)
    assert leaving.n_steps == [7, 20, 20]
    assert staying.n_steps == [20, 20, 20]
    assert torch.allclose(leaving.raw[1:], staying.raw[1:], atol=1e-5)
    for a, b in zip(leaving.traces[1:], staying.traces[1:], strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-4)
    at_7 = search(model, BLOCK, references, starts, recipe.with_options(steps=7))
    assert torch.allclose(leaving.raw[0], at_7.raw[0], atol=1e-5)


def test_the_judge_is_given_the_rows_and_signals_that_belong_together(make_model, make_stimuli, often):
    model, references = make_model(), make_stimuli(4).read()
    seen: list[tuple[list[int], list[float]]] = []

    def judge(rows, signals):
        with torch.no_grad():
            distance = (BLOCK.of(model.activations(signals, ["block"])) - target[rows]).norm(dim=1)
            error = distance / target[rows].norm(dim=1)
        seen.append((rows.tolist(), error.tolist()))
        return rows % 2 == 0

    target = BLOCK.of(model.activations(references, ["block"]))
    recipe = plain("lbfgs", steps=8, early_stop=True, keep_best=True, step_size=0.01)
    often.setattr(engine_module, "has_settled", lambda trace: len(trace.step) > 3)
    found = search(model, BLOCK, references, starts_like(references), recipe, judge)
    assert [rows for rows, _ in seen] == [[0, 1, 2, 3]] + [[1, 3]] * 4
    for row, error in zip(*seen[0], strict=True):
        assert error == pytest.approx(min(found.traces[row].loss[:4]), rel=1e-4)
    assert found.n_steps == [3, 8, 3, 8]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_loss_that_is_not_finite_concerns_its_stimulus_alone(make_model, make_stimuli, with_hole, often, optimizer):
    references = make_stimuli(3).read().clamp(max=0.8)
    starts = starts_like(references)
    starts[1, 0, 0, 0] = 1.0
    model = make_model(with_hole(math.nan))
    found = search(model, Representation(("output",)), references, starts, plain(optimizer, steps=3, step_size=0.01))
    assert found.problems[0] is None
    assert found.problems[2] is None
    assert found.problems[1] == "the loss is not finite at step 0"
    others = search(
        model,
        Representation(("output",)),
        references[[0, 2]],
        starts[[0, 2]],
        plain(optimizer, steps=3, step_size=0.01),
    )
    assert torch.allclose(found.raw[[0, 2]], others.raw, atol=1e-5)


@pytest.mark.parametrize(("hole", "what"), [(0.0, "all zero"), (0.3, "constant"), (math.inf, "not finite")])
def test_a_reference_that_nothing_can_match_is_told_and_the_others_go_on(
    make_model, make_stimuli, with_hole, hole, what
):
    references = make_stimuli(3).read().clamp(max=0.8)
    references[1, 0, 0, 0] = 1.0
    model, starts = make_model(with_hole(hole)), starts_like(references)
    found = search(model, Representation(("output",)), references, starts, plain(steps=5))
    assert what in str(found.problems[1])
    assert (found.problems[0], found.problems[2]) == (None, None)
    assert found.n_steps == [5, 0, 5]
    assert torch.equal(found.raw[1], starts[1])
    assert not torch.equal(found.raw[2], starts[2])


def test_a_batch_of_nothing_but_problems_ends_at_once(make_model, make_stimuli, with_hole):
    references = torch.ones_like(make_stimuli(2).read())
    found = search(make_model(with_hole(0.0)), Representation(("output",)), references, references, plain())
    assert found.n_steps == [0, 0]
    assert all(found.problems)


def all_hooks(network):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [hook for module in network.modules() for kind in kinds for hook in getattr(module, kind)]


def test_no_hook_is_left(make_model, make_stimuli):
    model, references = make_model(), make_stimuli(2).read()
    search(model, BLOCK, references, references * 0.9, plain(steps=3))
    assert all_hooks(model.network) == []

    def interrupt(step, limit, active):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(model, BLOCK, references, references * 0.9, plain(steps=3), progress=interrupt)
    assert all_hooks(model.network) == []


class Failing(nn.Module):
    """Fails in its `when`-th pass that wants a gradient, behind its stage."""

    def __init__(self, when=2):
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.when, self.count = when, 0

    def forward(self, x):
        x = self.conv(x)
        self.count += x.requires_grad
        if self.count == self.when:
            raise RuntimeError("broken")
        return self.other(x)


def test_no_hook_is_left_after_a_failure_in_the_network(make_model, make_stimuli):
    model, references = make_model(Failing), make_stimuli(2).read()
    with pytest.raises(RuntimeError, match="broken"):
        search(model, Representation(("conv", "other")), references, references * 0.9, plain(steps=5))
    assert all_hooks(model.network) == []


class Small(nn.Module):
    """A device that holds gradients of `room` stimuli."""

    def __init__(self, room):
        super().__init__()
        self.block, self.room, self.sizes = nn.Conv2d(3, 4, 3), room, []

    def forward(self, x):
        if x.requires_grad:
            self.sizes.append(len(x))
            if len(x) > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.block(x)


def test_a_batch_that_does_not_fit_is_halved(make_model, make_stimuli, often):
    references = make_stimuli(7).read()
    starts = starts_like(references)
    model, roomy = make_model(Small(2)), make_model(Small(100))
    roomy.network.load_state_dict(model.network.state_dict())

    def odd(rows, signals):
        assert torch.equal(rows, rows.sort().values)
        return rows % 2 == 1

    recipe = plain(steps=6, early_stop=True)
    often.setattr(engine_module, "has_settled", lambda trace: True)
    halved = search(model, BLOCK, references, starts, recipe, odd)
    whole = search(roomy, BLOCK, references, starts, recipe, odd)
    assert {7, 3, 4, 1, 2} == set(model.network.sizes)
    assert halved.n_steps == whole.n_steps == [6, 0, 6, 0, 6, 0, 6]
    assert torch.allclose(halved.raw, whole.raw, atol=1e-5)
    assert halved.problems == [None] * 7
    assert [t.step for t in halved.traces] == [t.step for t in whole.traces]


def test_one_stimulus_that_does_not_fit_is_an_error(make_model, make_stimuli):
    references = make_stimuli(2).read()
    with pytest.raises(torch.OutOfMemoryError):
        search(make_model(Small(0)), BLOCK, references, references, plain())


def test_what_counts_as_out_of_memory():
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_best_iterate_is_kept(make_model, make_stimuli, often, optimizer):
    model, references = make_model(), make_stimuli(3).read()
    starts = starts_like(references)
    found, every = (
        search(model, BLOCK, references, starts, plain(optimizer, 25, keep_best=keep, step_size=3.0))
        for keep in (True, False)
    )
    target = BLOCK.of(model.activations(references, ["block"]))
    error = (BLOCK.of(model.activations(found.raw, ["block"])) - target).norm(dim=1) / target.norm(dim=1)
    assert error.tolist() == pytest.approx([min(trace.loss) for trace in every.traces], rel=1e-4)
    for kept, trace in zip(found.traces, every.traces, strict=True):
        assert kept.loss == pytest.approx(list(itertools.accumulate(trace.loss, min)), rel=1e-4)
    assert any(trace.loss[-1] > min(trace.loss) * 1.001 for trace in every.traces) or optimizer == "lbfgs"


@pytest.mark.parametrize("loss", ["norm", "squares"])
def test_with_a_penalty_the_best_iterate_is_that_of_the_lowest_loss(make_model, make_stimuli, loss):
    """Which is not the one that matches best: that is the reference, where this search starts."""
    model, references = make_model(), make_stimuli(2).read()
    options = {"penalty": "total_variation", "penalty_weight": 50.0, "loss": loss}
    recipe = plain("adam", 30, keep_best=True, step_size=0.01, **options)
    found = search(model, BLOCK, references, references, recipe)
    assert (total_variation(found.raw) < 0.9 * total_variation(references)).all()
    assert all(trace.loss[0] == 0 < trace.loss[-1] for trace in found.traces)


class Glaring(nn.Module):
    """Gives no number for a stimulus of which a fifth is white."""

    def __init__(self):
        super().__init__()
        self.block = nn.Conv2d(3, 6, 3)

    def forward(self, x):
        white = (x > 0.99).float().mean((1, 2, 3)) > 0.2
        return torch.where(white[:, None, None, None], torch.nan, self.block(x))


def test_a_trial_that_is_not_finite_does_not_end_a_search_that_goes_back_from_it(make_model, make_stimuli, often):
    references = make_stimuli(3).read().clamp(0.2, 0.8)
    model, starts, output = make_model(Glaring), starts_like(references), Representation(("output",))
    recipe = plain("lbfgs", 30, keep_best=True, step_size=10.0)
    ended = search(model, output, references, starts, recipe.with_options(keep_best=False))
    assert set(ended.problems) == {"the loss is not finite at step 1"}  # what is kept there is the trial itself
    found = search(model, output, references, starts, recipe)
    assert found.problems == [None] * 3
    assert all(trace.loss[-1] < 0.9 * trace.loss[0] for trace in found.traces)
    assert found.raw.isfinite().all()


def test_slow_stimuli_are_perturbed_with_noise_of_their_own_seed(make_model, make_stimuli, often):
    model, references = make_model(), make_stimuli(3).read()
    starts = starts_like(references)
    recipe = plain("normalized_gradient", 6, step_size=1e-9, perturb_every=5, perturb_std=0.02)

    def moved(seeds, rows=slice(None)):
        return search(model, BLOCK, references[rows], starts[rows], recipe, seeds=seeds).raw - starts[rows]

    together = moved([1, 2, 1])
    assert together.flatten(1).std(1).tolist() == pytest.approx([0.02] * 3, rel=0.1)
    assert torch.allclose(together[0], together[2], atol=1e-6)
    assert (together[0] - together[1]).abs().max() > 0.02
    assert torch.allclose(together[1], moved([2], [1])[0], atol=1e-6)
    often.setattr(engine_module, "PERTURBED_GAIN_DB", -math.inf)
    assert moved([1, 2, 1]).abs().max() < 1e-6


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_perturbed_search_begins_anew_from_its_best(make_model, make_stimuli, often, optimizer):
    model, references = make_model(), make_stimuli(2).read()
    starts = starts_like(references)
    often.setattr(engine_module, "PERTURBED_GAIN_DB", math.inf)
    recipe = plain(optimizer, 10, keep_best=True, step_size=0.01, perturb_std=0)  # what is left is the new beginning
    first = search(model, BLOCK, references, starts, recipe)
    then = search(model, BLOCK, references, first.raw, recipe.with_options(steps=8))
    both = search(model, BLOCK, references, starts, recipe.with_options(steps=19, perturb_every=10))
    assert [trace.loss[-1] for trace in both.traces] == pytest.approx([t.loss[-1] for t in then.traces], rel=1e-3)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_perturbation_leaves_fast_stimuli_alone(make_model, make_stimuli, often, monkeypatch, optimizer):
    model, references = make_model(), make_stimuli(2).read()
    starts = starts_like(references)
    slow_row = iter([0.0, math.inf])
    often.setattr(engine_module, "gain", lambda trace: next(slow_row))
    recipe = plain(optimizer, 19, step_size=0.01)
    alone = search(model, BLOCK, references, starts, recipe)
    perturbed = search(model, BLOCK, references, starts, recipe.with_options(perturb_every=10))
    assert (perturbed.raw[0] - alone.raw[0]).abs().max() > 0.01
    assert torch.allclose(perturbed.raw[1], alone.raw[1], atol=1e-5)


def test_a_metamer_does_not_leave_while_it_climbs_back_from_its_perturbation(make_model, make_stimuli, often):
    model, references = make_model(), make_stimuli(2).read()
    often.setattr(engine_module, "GRACE", 4)
    often.setattr(engine_module, "PERTURBED_GAIN_DB", math.inf)
    often.setattr(engine_module, "has_settled", lambda trace: trace.step[-1] > 10)
    recipe = plain("lbfgs", 30, keep_best=True, early_stop=True, perturb_every=10, step_size=0.01)

    def always(rows, signals):
        return torch.ones(len(rows), dtype=torch.bool)

    found = search(model, BLOCK, references, starts_like(references), recipe, always)
    assert found.n_steps == [15, 15]
    without = search(model, BLOCK, references, starts_like(references), recipe.with_options(perturb_every=0), always)
    assert without.n_steps == [11, 11]


def trace_of(*snr):
    return Trace(list(range(0, 50 * len(snr), 50)), [0.0] * len(snr), list(snr))


def test_settled_is_less_than_a_tenth_of_a_decibel_over_100_steps():
    assert not has_settled(trace_of(5.0, 5.0))
    assert has_settled(trace_of(1.0, 5.0, 5.05, 5.09))
    assert not has_settled(trace_of(1.0, 5.0, 5.05, 5.11))
    assert has_settled(trace_of(5.0, 5.0, 4.0))
    assert has_settled(trace_of(*[math.inf] * 3))


def test_stalled_is_less_than_a_tenth_of_a_decibel_over_400_steps():
    assert not has_stalled(trace_of(*[5.0] * 8))
    assert has_stalled(trace_of(*[5.0] * 9))
    assert not has_stalled(trace_of(*[5.0] * 8, 5.11))
    assert has_stalled(trace_of(5.0, *[4.0] * 8))
    assert has_stalled(trace_of(*[math.inf] * 9))


def test_a_start_at_the_reference_ends_early(make_model, make_stimuli):
    model, references = make_model(), make_stimuli(2).read()
    found = search(model, BLOCK, references, references, recipe_named("fast"), lambda rows, signals: rows >= 0)
    assert found.n_steps == [100, 100]
    assert torch.equal(found.raw, references)


def test_without_a_judge_only_stalling_stops(make_model, make_stimuli):
    model, references = make_model(), make_stimuli(2).read()
    found = search(model, BLOCK, references, references, recipe_named("fast"))
    assert found.n_steps == [400, 400]


def test_a_metamer_that_is_none_yet_goes_on(make_model, make_stimuli):
    model, references = make_model(), make_stimuli(2).read()
    found = search(model, BLOCK, references, references, recipe_named("fast"), lambda rows, signals: rows < 1)
    assert found.n_steps == [100, 400]


def test_schedules():
    halving = plain(schedule="halving", halve_every=3, steps=9)
    assert [schedule(halving, step) for step in range(9)] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    cosine = plain(schedule="cosine", warmup=4, steps=100)
    values = [schedule(cosine, step) for step in range(100)]
    assert values[0] == pytest.approx(0.2, abs=0.01)
    assert values[50] == pytest.approx(0.5)
    assert max(values) == values[4]
    assert all(a >= b for a, b in itertools.pairwise(values[4:]))
    assert values[-1] < 0.001
    assert schedule(plain(schedule="constant"), 12) == 1


@pytest.mark.parametrize("options", [{"precision": "bfloat16"}, {"channels_last": True}])
def test_other_precisions_and_layouts_come_near(make_model, make_stimuli, options):
    model, references = make_model(), make_stimuli(2).read()
    starts = starts_like(references)
    for optimizer in OPTIMIZERS[:2] if "precision" in options else OPTIMIZERS:
        a = search(model, BLOCK, references, starts, plain(optimizer, 10, step_size=0.01))
        b = search(model, BLOCK, references, starts, plain(optimizer, 10, step_size=0.01, **options))
        assert b.raw.dtype == torch.float32
        if "precision" in options:
            assert [t.loss[-1] for t in a.traces] == pytest.approx([t.loss[-1] for t in b.traces], rel=0.05)
        else:
            assert torch.allclose(a.raw, b.raw, atol=1e-4)


def test_progress_is_told_at_each_check(make_model, make_stimuli):
    model, references, told = make_model(), make_stimuli(2).read(), []
    search(model, BLOCK, references, references * 0.9, plain(steps=120), progress=lambda *args: told.append(args))
    assert told == [(0, 120, 2), (50, 120, 2), (100, 120, 2), (120, 120, 2)]


def test_one_forward_and_one_backward_pass_a_step(make_stimuli):
    counts = {"forward": 0, "backward": 0}

    class Counted(nn.Module):
        def __init__(self):
            super().__init__()
            self.block, self.rest = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, x):
            counts["forward"] += 1
            if x.requires_grad:
                x.register_hook(lambda g: counts.__setitem__("backward", counts["backward"] + 1))
            y = self.block(x)
            assert not torch.is_grad_enabled(), "the pass goes on behind the stage"
            return self.rest(y)

    model = StagedModel(Counted(), input_size=12)
    references = make_stimuli(3).read()
    with torch.no_grad():
        model.activations(references, ["block"])
    counts.update(forward=0, backward=0)
    search(model, BLOCK, references, references * 0.9, plain(steps=10))
    assert counts == {"forward": 12, "backward": 10}  # and one for the references, one at the end


def test_the_penalty_acts_and_must_be_per_stimulus(make_model, make_stimuli):
    model, references = make_model(), make_stimuli(2).read()
    starts = torch.rand(references.shape, generator=torch.Generator().manual_seed(0))

    def variation(x):
        return (x[..., 1:] - x[..., :-1]).abs().mean().item()

    for optimizer in ("adam", "lbfgs"):
        free = search(model, BLOCK, references, starts, plain(optimizer, 40, step_size=0.02))
        smooth = search(
            model, BLOCK, references, starts, plain(optimizer, 40, step_size=0.02, penalty="total_variation")
        )
        assert variation(smooth.raw) < 0.9 * variation(free.raw)
    with pytest.raises(MetamersError, match=r"shape \[\] for 2 stimuli"):
        search(model, BLOCK, references, starts, plain(penalty=lambda x: x.mean()))


def test_lbfgs_judges_its_trials_by_the_loss_that_it_descends(make_model, make_stimuli, monkeypatch):
    """With a penalty, that is not the error alone."""
    given: list[torch.Tensor] = []

    class Spy(LBFGS):
        def step(self, x, loss, gradient, step_size):
            given.append(loss)
            return super().step(x, loss, gradient, step_size)

    monkeypatch.setattr(engine_module, "make_optimizer", lambda name: Spy())
    monkeypatch.setattr(engine_module, "CHECK_EVERY", 1)
    model, references = make_model(), make_stimuli(2).read()
    recipe = plain("lbfgs", 3, penalty=lambda x: 7 + 0 * x.flatten(1).mean(1), penalty_weight=2.0)
    found = search(model, BLOCK, references, references * 0.9, recipe)
    assert given[0].tolist() == pytest.approx([trace.loss[0] + 14 for trace in found.traces])
