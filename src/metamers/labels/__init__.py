"""What a decision means. Imports no torch."""

from metamers.labels.label_space import LabelSpace

__all__ = ["LabelSpace"]
