"""The unit of work and of verdict."""

import hashlib
import re
from dataclasses import dataclass

UNUSABLE = ("failed", "error")
"""The verdicts of cells that are no metamers, and count in no analysis."""


@dataclass(frozen=True)
class Cell:
    """One metamer to be made: of one reference, at one stage of one model, by one recipe, from one seed."""

    model: str
    stage: str
    recipe: str
    reference: str
    seed: int

    @property
    def id(self) -> str:
        """A readable path that names the cell and no other.

        >>> Cell("bundled:picto-resnet", "layer1", "fast", "bear/1.png", 0).id
        'bundled_picto-resnet-853042/layer1/fast/bear_1.png-af3975/s0'
        """
        return "/".join([*map(slug, (self.model, self.stage, self.recipe, self.reference)), f"s{self.seed}"])

    @property
    def file_stem(self) -> str:
        """The metamer's path within a run, without its suffix."""
        return f"metamers/{self.id.removesuffix(f'/s{self.seed}')}.s{self.seed}"


def slug(name: str) -> str:
    """`name` where it can be a file's name, else its harmless characters with six digits of its SHA-256.

    >>> slug("layer3"), slug("bear/1.png")
    ('layer3', 'bear_1.png-af3975')
    """
    harmless = re.sub(r"[^A-Za-z0-9._@=+-]+", "_", name)
    if harmless == name and len(name) <= 100 and not name.startswith(".") and name:
        return name
    return f"{harmless.lstrip('.')[:93]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
