"""Projected gradient descent: known answers on linear models, and what every attack must keep to."""

import pytest
import torch
from torch import nn

from metamers.errors import MetamersError
from metamers.training.attacks import Attack, climb, strongest
from metamers.training.norms import NORMS, norm_of

norms = pytest.mark.parametrize("norm", NORMS)
DUAL = {"l2": 2.0, "linf": 1.0, "l1": torch.inf}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def net():
    """A small network, its stimuli [12, 1, 6, 6] in [0, 1], and the labels that it gives them."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 5))
    x = torch.rand(12, 1, 6, 6, generator=seeded())
    with torch.no_grad():
        return network, x, network(x).argmax(1)


def loss(network, x, labels):
    with torch.no_grad():
        return nn.functional.cross_entropy(network(x), labels, reduction="none")


@norms
@pytest.mark.parametrize("seed", range(3))
def test_a_linear_model_falls_where_its_margin_ends(norm, seed):
    weights = torch.randn(1, 4, 5, generator=seeded(seed))
    x = torch.randn(8, 4, 5, generator=seeded(seed + 10))

    def logits(x):
        score = (x * weights).flatten(1).sum(1, keepdim=True)
        return torch.cat([score, -score], 1)

    margin = (x * weights).flatten(1).sum(1)
    labels = (margin < 0).long()
    least = margin.abs() / torch.linalg.vector_norm(weights.flatten(), ord=DUAL[norm])
    for i in range(len(x)):
        for share, falls in ((0.99, False), (1.01, True)):
            attack = Attack(norm, float(least[i]) * share)
            found = strongest(logits, x[i : i + 1], labels[i : i + 1], attack, bounds=None)
            assert bool(found.misnamed) is falls


@norms
@pytest.mark.parametrize("random_start", [False, True])
def test_what_is_found_is_within_the_ball_and_the_bounds(net, norm, random_start):
    network, x, labels = net
    attack = Attack(norm, 0.4, steps=12, random_start=random_start, restarts=1)
    for found in (
        climb(network, x, labels, attack, generator=seeded()),
        strongest(network, x, labels, attack, generator=seeded()).x,
    ):
        assert found.shape == x.shape
        assert bool((norm_of(found - x, norm) <= 0.4 * (1 + 1e-5)).all())
        assert found.min() >= 0 and found.max() <= 1


@norms
def test_the_loss_grows_and_the_best_is_no_worse_than_the_last(net, norm):
    network, x, labels = net
    attack = Attack(norm, 0.1)
    last, best = climb(network, x, labels, attack), strongest(network, x, labels, attack)
    assert bool((loss(network, last, labels) >= loss(network, x, labels)).all())
    kept = ~best.misnamed
    assert kept.any()
    assert bool((loss(network, best.x, labels)[kept] >= loss(network, last, labels)[kept] - 1e-6).all())


@norms
def test_what_is_said_to_be_misnamed_is(net, norm):
    network, x, labels = net
    found = strongest(network, x, labels, Attack(norm, {"l2": 0.3, "linf": 0.06, "l1": 1.5}[norm]))
    assert 0 < found.misnamed.sum() < len(x)
    with torch.no_grad():
        assert torch.equal(network(found.x).argmax(1) != labels, found.misnamed)


@norms
def test_a_batch_fares_as_each_alone(net, norm):
    network, x, labels = net
    attack = Attack(norm, 0.3, steps=16, restarts=1)
    together = strongest(network, x, labels, attack, generator=[seeded(i) for i in range(len(x))])
    for i in range(len(x)):
        alone = strongest(network, x[i : i + 1], labels[i : i + 1], attack, generator=[seeded(i)])
        assert torch.allclose(alone.x[0], together.x[i], atol=1e-4)
        assert alone.misnamed[0] == together.misnamed[i]


@norms
def test_restarts_are_never_weaker(net, norm):
    network, x, labels = net
    for eps in (0.05, 0.2, 0.4):
        once = strongest(network, x, labels, Attack(norm, eps, steps=6))
        more = strongest(network, x, labels, Attack(norm, eps, steps=6, restarts=3), generator=seeded())
        assert bool((more.misnamed | ~once.misnamed).all())
        both = ~more.misnamed
        assert bool((loss(network, more.x, labels)[both] >= loss(network, once.x, labels)[both] - 1e-6).all())


def test_a_model_that_is_sure_of_itself_is_attacked_all_the_same():
    """The gradients of its loss are as small as 1e-30; a step must not be."""
    weights = torch.tensor([[1.0, -1.0, 0.5, -0.5]])
    x = torch.tensor([[0.9, 0.1, 0.8, 0.2]])
    labels = torch.tensor([0])

    def logits(x):
        score = 25 * (x * weights).sum(1, keepdim=True)
        return torch.cat([score, -score], 1)

    found = strongest(logits, x, labels, Attack("l2", 0.75))  # 1.1 / 1.58 = 0.70 is enough
    assert bool(found.misnamed)


def test_an_l1_step_is_not_spent_on_values_that_cannot_move():
    weights = torch.zeros(1, 200)
    weights[0, :50], weights[0, 50:] = 5.0, 1.0
    x = torch.full((1, 200), 0.5)
    x[0, :50] = 1.0  # the score may not rise by the largest weights, which stand at the bound

    def logits(x):
        score = (x * weights).sum(1, keepdim=True) - 330
        return torch.cat([-score, score], 1)

    assert logits(x).argmax() == 0
    assert not bool(strongest(logits, x, torch.tensor([0]), Attack("l1", 4)).misnamed)
    assert bool(strongest(logits, x, torch.tensor([0]), Attack("l1", 6)).misnamed)


def test_parameters_get_no_gradients_and_keep_their_state(net):
    network, x, labels = net
    before = [parameter.detach().clone() for parameter in network.parameters()]
    strongest(network, x, labels, Attack("l2", 0.2, steps=3))
    climb(network, x, labels, Attack("l2", 0.2, steps=3))
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert x.grad is None and not x.requires_grad


def test_progress_rises_to_the_end(net):
    network, x, labels = net
    shares: list[float] = []
    strongest(
        *(network, x, labels, Attack("l2", 1e-3, steps=16, restarts=1)), generator=seeded(), progress=shares.append
    )
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_a_random_start_needs_a_generator(net):
    with pytest.raises(ValueError, match="needs a generator"):
        climb(net[0], net[1], net[2], Attack("l2", 1.0, random_start=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"norm": "linff"}, "no norm 'linff'; did you mean 'linf'?; choose l2, linf, l1"),
        ({"eps": -1.0}, "eps -1.0: give a finite number of at least 0"),
        ({"eps": float("nan")}, "eps nan"),
        ({"step_size": 0.0}, "step_size 0.0"),
        ({"steps": 0}, "at least 1 step"),
        ({"restarts": -1}, "0 restarts"),
    ],
)
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(MetamersError, match=said.replace("?", r"\?")):
        Attack(**options)
