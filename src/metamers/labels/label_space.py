"""The labels that an observer can give, and how a model's outputs become one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metamers.errors import MetamersError

DECISIONS = ("first", "mean-probability")
"""How outputs that share labels decide: by the greatest output that has a label, or by a label's mean probability."""


@dataclass(frozen=True)
class LabelSpace:
    """Labels, and for each the indices of the model outputs that mean it.

    `n_outputs` is how many outputs a model of this space has; None where any number above the greatest index will do.

    >>> LabelSpace("pets", ("cat", "dog"), ((0, 2), (1,))).choose(np.array([[1.0, 2.0, 3.0], [1.0, 4.0, 3.0]]))
    ['cat', 'dog']
    """

    name: str
    labels: tuple[str, ...]
    outputs: tuple[tuple[int, ...], ...]
    n_outputs: int | None = None

    def require_outputs(self, n: int, model: str) -> None:
        """Raises MetamersError where a model of `n` outputs cannot answer in this space."""
        needed = self.n_outputs or max(max(indices) for indices in self.outputs) + 1
        if n < needed or self.n_outputs not in (None, n):
            raise MetamersError(
                f"model {model!r} has {n} outputs, and the labels '{self.name}' are of {needed}; choose other --labels"
            )

    def choose(self, logits: NDArray[np.floating], decision: str = "first") -> list[str | None]:
        """The label for each row of `logits` [N, outputs]; None for a row with NaN, which says nothing.

        "first" takes the greatest output that has a label (Feather et al., 2023: the first of the sorted outputs that
        belongs to a class), "mean-probability" the label whose outputs have the greatest mean probability.
        Raises MetamersError for another decision.
        """
        if decision not in DECISIONS:
            raise MetamersError(f"no decision {decision!r}; choose {' or '.join(DECISIONS)}")
        columns = [index for indices in self.outputs for index in indices]
        owners = np.repeat(np.arange(len(self.labels)), [len(indices) for indices in self.outputs])
        values = np.asarray(logits, dtype=np.float64)
        if decision == "first":
            chosen = owners[values[:, columns].argmax(1)]
        else:
            owned = values[:, columns]
            # Relative to the greatest of these: all of them may be far below the others, where exp gives 0.
            probabilities = np.exp(owned - owned.max(1, keepdims=True))
            means = [probabilities[:, owners == i].mean(1) for i in range(len(self.labels))]
            chosen = np.stack(means, 1).argmax(1)
        silent = [bool(np.isnan(row).any()) for row in values]
        return [None if nothing else self.labels[i] for i, nothing in zip(chosen, silent, strict=True)]

    def known(self, label: str | None) -> str | None:
        """A stimulus's label in this space's words; None where the space lacks it.

        A label of digits that is no name is an output's index, where every output has a label.

        >>> space = identity(("cat", "dog"), 2)
        >>> space.known("dog"), space.known("1"), space.known("horse")
        ('dog', 'dog', None)
        """
        if label is None or label in self.labels:
            return label
        if label.isdecimal() and self.n_outputs == sum(map(len, self.outputs)):
            pairs = zip(self.labels, self.outputs, strict=True)
            return next((name for name, indices in pairs if int(label) in indices), None)
        return None


def identity(classes: Sequence[str], n_outputs: int, model: str = "") -> LabelSpace:
    """A model's own labels: its classes or, where it states none, its outputs' indices as digits.

    A class name that stands for several outputs (in ImageNet "crane" does) is one label.
    Raises MetamersError where there are not as many classes as outputs.

    >>> identity((), 3).labels
    ('0', '1', '2')
    """
    names = tuple(classes) or tuple(map(str, range(n_outputs)))
    if len(names) != n_outputs:
        raise MetamersError(f"model {model!r} names {len(names)} classes for {n_outputs} outputs; give --labels")
    outputs: dict[str, list[int]] = {}
    for i, label in enumerate(names):
        outputs.setdefault(label, []).append(i)
    return LabelSpace("identity", tuple(outputs), tuple(map(tuple, outputs.values())), n_outputs)
