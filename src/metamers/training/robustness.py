"""Robustness curves: how often a model still names its stimuli right, over the size of adversarial perturbations."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from metamers.errors import MetamersError
from metamers.labels import LabelSpace, identity
from metamers.models import StagedModel, fitted
from metamers.stimuli import StimulusSet
from metamers.store import sha256
from metamers.training.attacks import Attack, Logits, strongest
from metamers.training.norms import largest

Progress = Callable[[float, float], None]
"""Called with the number of attacks, on one stimulus at one eps, that are done or not needed, and of all."""

DEFAULT_EPS = {
    "l2": (0.0, 0.25, 0.5, 1.0, 2.0),
    "linf": (0.0, 1 / 255, 2 / 255, 4 / 255, 8 / 255),
    "l1": (0.0, 2.5, 5.0, 10.0, 20.0),
}
SEEDS = (0, 1, 2, 3, 4)
N_IMAGES = 1024


@dataclass(frozen=True)
class RobustnessCurve:
    """The accuracy of a model under attacks of growing size.

    eps: increasing. accuracy: [seeds, eps], that on the stimuli which a seed drew. n_images: stimuli that a seed draws.
    n_different: stimuli drawn by any of them. left_out: labels that the model lacks, and of how many stimuli
    (unlabeled ones under ""). notes: what must be said beside the curve.
    """

    eps: tuple[float, ...]
    seeds: tuple[int, ...]
    accuracy: tuple[tuple[float, ...], ...]
    n_images: int
    n_different: int
    left_out: dict[str, int]
    notes: tuple[str, ...]


def robustness_curve(
    model: StagedModel,
    stimuli: StimulusSet,
    *,
    norm: str = "l2",
    eps: Sequence[float] | None = None,
    steps: int = 64,
    step_size: float | None = None,
    random_start: bool = False,
    restarts: int = 0,
    n_images: int = N_IMAGES,
    seeds: Sequence[int] = SEEDS,
    batch_size: int = 64,
    progress: Progress = lambda done, total: None,
) -> RobustnessCurve:
    """The accuracy of `model` on labeled `stimuli` under untargeted projected gradient descent (see `Attack`).

    `eps` are sizes in `norm`, None for `DEFAULT_EPS`; 0 is no attack. Each seed draws `n_images` stimuli without
    replacement; where there are no more than that, all are taken once. A stimulus that is misnamed at one eps, or
    without an attack, counts as misnamed at every larger one, whose ball holds the smaller, and is attacked no more.
    A random start takes its seed from the stimulus and eps, so a stimulus fares the same in every draw and batch.

    Source: Feather et al. (2023), Methods. Raises MetamersError for a model without a decision or input size, stimuli
    without labels that the model knows, an eps beyond the range of the stimuli, and as `Attack` does.
    """
    sizes = sorted(set(eps if eps else DEFAULT_EPS.get(norm, (0.0,))))
    attacks = [Attack(norm, size, steps, step_size, random_start, restarts) for size in sizes]
    if not model.has_decision:
        raise MetamersError(f"model {model.name!r} makes no decision that an attack could change; choose a classifier")
    assert model.input_size is not None
    shown = fitted(stimuli.as_played(), model)
    _require_within(attacks, model.input_shape, shown.value_range)
    outputs = next(stage.shape[0] for stage in model.describe() if stage.name == "output")
    space = identity(model.classes, outputs, model.name)
    known, left_out = _known(shown, space, model.name)
    draws, notes = _draws(len(known), n_images, seeds)
    different = np.unique(np.concatenate([*draws.values()]))
    task = _Task(label_logits(model, space), known[different], space, model.device, batch_size)
    right = np.zeros((len(known), len(attacks)), dtype=bool)
    right[different] = task.named_right(attacks, progress)
    return RobustnessCurve(
        eps=tuple(sizes),
        seeds=tuple(draws),
        accuracy=tuple(tuple(map(float, right[rows].mean(0))) for rows in draws.values()),
        n_images=len(next(iter(draws.values()))),
        n_different=len(different),
        left_out=left_out,
        notes=(*notes, *_by_place(known, space)),
    )


def label_logits(model: StagedModel, space: LabelSpace) -> Logits:
    """The logits [N, labels] of a label space: each label's greatest output, as decides which label a model gives."""
    most = max(map(len, space.outputs))
    padded = [[*outputs, *[outputs[0]] * (most - len(outputs))] for outputs in space.outputs]
    columns = torch.tensor(padded, device=model.device)
    return lambda x: model.logits(x)[:, columns].amax(2)


@dataclass(frozen=True)
class _Task:
    """Labeled stimuli, and what names them."""

    logits: Logits
    stimuli: StimulusSet
    space: LabelSpace
    device: torch.device
    batch_size: int

    def named_right(self, attacks: Sequence[Attack], progress: Progress) -> NDArray[np.bool_]:
        """Whether each stimulus is named right under each of the attacks, which grow: bool [N, attacks]."""
        total = len(self.stimuli) * sum(attack.eps > 0 for attack in attacks)
        right = ~np.concatenate([self._misnamed(rows, None) for rows in self._batches(np.arange(len(self.stimuli)))])
        columns = []
        for i, attack in enumerate(attacks):
            remaining = np.flatnonzero(right) if attack.eps > 0 else np.array([], dtype=np.int64)
            for j, rows in enumerate(self._batches(remaining)):
                later = right.sum() * (len(attacks) - i - 1) + len(remaining) - j * self.batch_size

                def report(share: float, later: int = later, n: int = len(rows)) -> None:
                    progress(total - later + share * n, total)

                right[rows] = ~self._misnamed(rows, attack, report)
            columns.append(right.copy())
        progress(total, total)
        return np.stack(columns, axis=1)

    def _batches(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]

    @torch.no_grad()
    def _misnamed(
        self, rows: NDArray[np.int64], attack: Attack | None, progress: Callable[[float], None] = lambda share: None
    ) -> NDArray[np.bool_]:
        """Whether the stimuli `rows` are misnamed as they are (`attack` None), or by the strongest attack."""
        stimuli = self.stimuli[rows]
        x = stimuli.read().to(self.device)
        labels = torch.tensor([self.space.labels.index(str(self.space.known(label))) for label in stimuli.labels])
        labels = labels.to(self.device)
        if attack is None:
            misnamed = self.logits(x).argmax(1) != labels
        else:
            draws = [_generator(id_, attack) for id_ in stimuli.ids] if attack.draws else None
            bounds = stimuli.value_range
            found = strongest(self.logits, x, labels, attack, bounds=bounds, generator=draws, progress=progress)
            misnamed = found.misnamed
        result: NDArray[np.bool_] = misnamed.cpu().numpy()
        return result


def _generator(stimulus: str, attack: Attack) -> torch.Generator:
    return torch.Generator().manual_seed(int(sha256(f"{stimulus}\n{attack.norm}\n{attack.eps}".encode())[:15], 16))


def _known(stimuli: StimulusSet, space: LabelSpace, model: str) -> tuple[StimulusSet, dict[str, int]]:
    """The stimuli whose label the model has, and how many of each other label there are."""
    if not any(stimuli.labels):
        raise MetamersError(
            f"stimuli '{stimuli.name}' have no labels; put them into subfolders named by label, or give --labels"
        )
    known = [i for i, label in enumerate(stimuli.labels) if label is not None and space.known(label) is not None]
    unknown = Counter(label or "" for label in stimuli.labels if label is None or space.known(label) is None)
    if not known:
        theirs, own = (", ".join(map(repr, names[:4])) for names in (tuple(filter(None, unknown)), space.labels))
        raise MetamersError(
            f"model {model!r} has none of the labels of '{stimuli.name}' ({theirs}, ...); its own are {own}, ...; "
            "rename the stimuli's labels"
        )
    return stimuli[known], dict(unknown)


def _by_place(stimuli: StimulusSet, space: LabelSpace) -> tuple[str, ...]:
    """What must be said where labels are no names of the model's."""
    if any(space.known(label) != label for label in stimuli.labels):
        return (f"the labels of '{stimuli.name}' are numbers, taken as the places of the model's outputs",)
    return ()


def _draws(n: int, n_images: int, seeds: Sequence[int]) -> tuple[dict[int, NDArray[np.int64]], tuple[str, ...]]:
    """The places in n stimuli that each seed draws, in increasing order; and what must be said of that."""
    if n_images < 1 or not seeds or min(seeds) < 0:
        raise MetamersError(f"{n_images} images, seeds {list(seeds)}: give at least 1 image and one seed of at least 0")
    if n_images < n or (n_images == n and len(set(seeds)) == 1):
        draws = {seed: np.random.default_rng(seed).choice(n, n_images, replace=False) for seed in seeds}
        shared = (
            f"seeds share stimuli, as each draws {n_images} of {n}: the interval is of the accuracy on these {n} alone"
        )
        return {seed: np.sort(rows) for seed, rows in draws.items()}, (shared,) * (n_images * len(draws) > n)
    note = f"all {n} stimuli are taken once, whatever the seed, as there are no more than the {n_images} wanted"
    return {seeds[0]: np.arange(n)}, (note,)


def _require_within(attacks: Sequence[Attack], shape: tuple[int, ...], value_range: tuple[float, float]) -> None:
    """Refuse an eps that no two stimuli are apart."""
    width, n = value_range[1] - value_range[0], prod(shape)
    for attack in attacks:
        most = width * largest(attack.norm, n)
        if attack.eps > most:
            raise MetamersError(
                f"eps {attack.eps:g} is beyond {most:g}, the greatest {attack.norm} distance of two stimuli of "
                f"{' x '.join(map(str, shape))} values in [{value_range[0]:g}, {value_range[1]:g}]; give less"
            )
