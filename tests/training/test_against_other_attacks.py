"""Our attack against those of foolbox (Rauber et al., 2020) and AutoAttack (Croce & Hein, 2020), on two networks.

AutoAttack is run with its two gradient attacks alone, with a third of their steps and three targets, as the rest takes
minutes; whole, it gave 0.22 where this gives 0.22 and ours 0.24 (cifar, linf). Of picto-resnet, which was not trained
to resist, ours leaves up to 9 points more (0.41 and 0.31 at L2 0.5): its loss is too rough for steps of one length.
"""

import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

import metamers
from metamers.training.attacks import Attack, climb, strongest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of SciPy
    import foolbox

DATA = Path(os.environ.get("METAMERS_REAL_DATA", ""))
real = pytest.mark.skipif(
    "METAMERS_REAL_DATA" not in os.environ, reason="METAMERS_REAL_DATA names no folder with real networks and images"
)
STEPS = {"picto": 16, "cifar": 32}
OF_FOOLBOX = {
    "l2": foolbox.attacks.L2ProjectedGradientDescentAttack,
    "linf": foolbox.attacks.LinfProjectedGradientDescentAttack,
    "l1": foolbox.attacks.SparseL1DescentAttack,
}
EPS = {"picto": {"l2": 1.5, "linf": 6 / 255, "l1": 25.0}, "cifar": {"l2": 1.0, "linf": 8 / 255, "l1": 6.0}}


class Task(NamedTuple):
    """A network, its stimuli in [0, 1], and their labels."""

    net: nn.Module
    x: Tensor
    labels: Tensor

    def accuracy(self, x: Tensor) -> float:
        with torch.no_grad():
            return int((self.net(x).argmax(1) == self.labels).sum()) / len(x)

    def best(self, attack: Attack) -> float:
        """The accuracy under the strongest iterates."""
        return int((~strongest(self.net, self.x, self.labels, attack).misnamed).sum()) / len(self.x)


class Net(nn.Module):
    """The logits of a StagedModel, as the others take a network."""

    def __init__(self, model: metamers.StagedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.logits(x)


@pytest.fixture(scope="module")
def picto() -> Task:
    model = metamers.load_model("bundled:picto-resnet-l2")
    stimuli = metamers.load_stimuli("bundled:pictograms?split=test&n=32&seed=2")
    return Task(Net(model).eval(), stimuli.read(), torch.tensor([model.classes.index(str(s)) for s in stimuli.labels]))


@pytest.fixture(scope="module")
def cifar() -> Task:
    spec = f"{DATA}/nets/cifar_nets.py:load:cifar_robust_resnet_2b2_sadv8"
    stimuli = metamers.load_stimuli(DATA / "cifar10" / "test_100.npz")
    names = [*map(str, range(10))] if not stimuli.classes else list(stimuli.classes)
    labels = torch.tensor([names.index(str(label)) for label in stimuli.labels])
    return Task(Net(metamers.load_model(spec, input_size=32)).eval(), stimuli.read(), labels)


each = pytest.mark.parametrize("name", ["picto", pytest.param("cifar", marks=real)])


@each
@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
@pytest.mark.filterwarnings("ignore")
def test_accuracy_is_that_under_the_attack_of_foolbox(name, norm, request):
    task: Task = request.getfixturevalue(name)
    eps = EPS[name][norm]
    theirs = OF_FOOLBOX[norm](rel_stepsize=0.25, steps=STEPS[name], random_start=False).run(
        foolbox.PyTorchModel(task.net, (0, 1)), task.x, foolbox.criteria.Misclassification(task.labels), epsilon=eps
    )
    attack = Attack(norm, eps, steps=STEPS[name])
    last = task.accuracy(climb(task.net, task.x, task.labels, attack))
    best = task.best(attack)
    other = task.accuracy(theirs)
    assert 0.1 <= other <= 0.9
    assert last == pytest.approx(other, abs=0.02)  # foolbox gives the last iterate
    assert other - 0.05 <= best <= last


@each
@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.filterwarnings("ignore")
def test_accuracy_is_little_above_that_under_autoattack(name, norm, request):
    task: Task = request.getfixturevalue(name)
    eps = EPS[name][norm]
    ours = task.best(Attack(norm, eps))
    attacks: Any = ["apgd-ce", "apgd-t"]
    auto = AutoAttack(task.net, norm=norm.capitalize(), eps=eps, seed=0, version="custom", attacks=attacks)
    auto.apgd.n_restarts = auto.apgd_targeted.n_restarts = 1
    auto.apgd.n_iter = auto.apgd_targeted.n_iter = 30
    auto.apgd_targeted.n_target_classes = 3
    found, _ = auto.run_standard_evaluation(task.x, task.labels, batch_size=64)
    theirs = task.accuracy(found)
    assert 0.1 <= theirs <= 0.9
    assert theirs <= ours <= theirs + 0.05
