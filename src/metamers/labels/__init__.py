"""What a decision means. Imports no torch."""

from metamers.labels.label_space import DECISIONS, LabelSpace, identity
from metamers.labels.spaces import LABEL_SPACES, label_space

__all__ = ["DECISIONS", "LABEL_SPACES", "LabelSpace", "identity", "label_space"]
