"""Model metamers for images and sound: made, proved, shown to other models and to people, and analyzed.

Generates stimuli that a model cannot tell from natural ones at one of its stages, proves that they match, and finds out
who else recognizes them (Feather, Leclerc, Mądry & McDermott, 2023, doi:10.1038/s41593-023-01442-0).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from metamers.errors import MetamersError
    from metamers.matching import AboveNull, Criterion, NullDistribution, SameDecision, null_distribution, verify
    from metamers.models import StagedModel, load_model
    from metamers.stimuli import StimulusSet, load_stimuli
    from metamers.synthesis import Recipe, Result, synthesize

# Names are imported when they are first used, so that the command line starts without torch.
_HOMES = {
    "errors": ("MetamersError",),
    "matching": ("AboveNull", "Criterion", "NullDistribution", "SameDecision", "null_distribution", "verify"),
    "models": ("StagedModel", "load_model"),
    "stimuli": ("StimulusSet", "load_stimuli"),
    "synthesis": ("Recipe", "Result", "synthesize"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AboveNull",
    "Criterion",
    "MetamersError",
    "NullDistribution",
    "Recipe",
    "Result",
    "SameDecision",
    "StagedModel",
    "StimulusSet",
    "load_model",
    "load_stimuli",
    "null_distribution",
    "synthesize",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'metamers' has no attribute {name!r}")
    return getattr(import_module(f"metamers.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
