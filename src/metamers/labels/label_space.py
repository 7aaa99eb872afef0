"""The labels that an observer can give."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelSpace:
    """An observer's labels in output order; without names (a model that states none) a label is its index as digits.

    >>> LabelSpace(("cat", "dog")).label(1), LabelSpace().label(1)
    ('dog', '1')
    """

    names: tuple[str, ...] = ()

    def label(self, index: int) -> str:
        """The label of an output index."""
        return self.names[index] if self.names else str(index)

    def is_correct(self, index: int, label: str | None) -> bool | None:
        """Whether the response `index` is right for a stimulus of this label; None where it cannot be scored.

        A label of digits, that is no name, is an index.

        >>> LabelSpace(("cat", "dog")).is_correct(1, "dog"), LabelSpace().is_correct(3, "3")
        (True, True)
        >>> LabelSpace(("cat", "dog")).is_correct(1, "horse") is None
        True
        """
        if label is None:
            return None
        if label in self.names:
            return self.names[index] == label
        if label.isdecimal() and (not self.names or int(label) < len(self.names)):
            return index == int(label)
        return None
